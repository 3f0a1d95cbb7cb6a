"""The value score: how often a customer will order, for how much, and who will not come back."""

from models.value.counting import BetaGeoScorer, ParetoNBDScorer
from models.value.likelihood import IdentificationWarning
from models.value.spend import GammaGammaScorer

__all__ = [
    "BetaGeoScorer",
    "GammaGammaScorer",
    "IdentificationWarning",
    "ParetoNBDScorer",
]
