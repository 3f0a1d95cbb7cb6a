"""What a campaign changes for each person, and whether anyone can be ranked by it."""

from models.uplift.evaluation import Effect, auuc, compare_rankings, effect, qini, qini_curve
from models.uplift.learners import ResponseLearner, SLearner, TLearner, UpliftLearner, XLearner

__all__ = [
    "Effect",
    "ResponseLearner",
    "SLearner",
    "TLearner",
    "UpliftLearner",
    "XLearner",
    "auuc",
    "compare_rankings",
    "effect",
    "qini",
    "qini_curve",
]
