"""When each customer will order next, and what of."""

from models.nextpurchase.rhythm import RhythmScorer
from models.nextpurchase.score import ESTIMATOR_NAME, NextOrderReport, score_next_orders
from models.nextpurchase.words import verdict_sentence

__all__ = [
    "ESTIMATOR_NAME",
    "NextOrderReport",
    "RhythmScorer",
    "score_next_orders",
    "verdict_sentence",
]
