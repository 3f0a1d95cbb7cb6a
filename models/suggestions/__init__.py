"""Products to suggest to each customer."""

from models.suggestions.estimators import (
    EaseScorer,
    FactorScorer,
    ItemItemScorer,
    PopularityScorer,
)
from models.suggestions.score import (
    SuggestionReport,
    keep_suggestions,
    suggest_products,
    train_suggestions,
)

__all__ = [
    "EaseScorer",
    "FactorScorer",
    "ItemItemScorer",
    "PopularityScorer",
    "SuggestionReport",
    "keep_suggestions",
    "suggest_products",
    "train_suggestions",
]
