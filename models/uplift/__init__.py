"""What a campaign changes for each person, and whether anyone can be ranked by it."""

from models.uplift.campaigns import (
    CampaignEffect,
    Targeting,
    campaign_effects,
    learn_targeting,
    together,
)
from models.uplift.evaluation import Effect, auuc, compare_rankings, effect, qini, qini_curve
from models.uplift.learners import ResponseLearner, SLearner, TLearner, UpliftLearner, XLearner

__all__ = [
    "CampaignEffect",
    "Effect",
    "ResponseLearner",
    "SLearner",
    "TLearner",
    "Targeting",
    "UpliftLearner",
    "XLearner",
    "auuc",
    "campaign_effects",
    "compare_rankings",
    "effect",
    "learn_targeting",
    "qini",
    "qini_curve",
    "together",
]
