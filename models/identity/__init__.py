"""Records of the sources become customers."""

from models.identity.exact import IdentityLimits, IdentityReport, resolve
from models.identity.resolution import (
    Correction,
    Decision,
    FullLimits,
    ResolutionReport,
    identify,
    resolve_fully,
    train_links,
)

__all__ = [
    "Correction",
    "Decision",
    "FullLimits",
    "IdentityLimits",
    "IdentityReport",
    "ResolutionReport",
    "identify",
    "resolve",
    "resolve_fully",
    "train_links",
]
