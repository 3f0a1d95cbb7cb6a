"""The value score: how often a customer will order, for how much, and who will not come back."""

from models.value.counting import BetaGeoScorer, ParetoNBDScorer
from models.value.likelihood import IdentificationWarning
from models.value.score import HORIZON_DAYS, ValueScoreReport, score_customers, value_what_if
from models.value.spend import GammaGammaScorer
from models.value.words import feature_label, reason_sentence, verdict_sentence

__all__ = [
    "HORIZON_DAYS",
    "BetaGeoScorer",
    "GammaGammaScorer",
    "IdentificationWarning",
    "ParetoNBDScorer",
    "ValueScoreReport",
    "feature_label",
    "reason_sentence",
    "score_customers",
    "value_what_if",
    "verdict_sentence",
]
