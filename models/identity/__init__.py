"""Records of the sources become customers."""

from models.identity.exact import IdentityLimits, IdentityReport, resolve
from models.identity.resolution import (
    CORRECTED,
    Correction,
    Decision,
    FullLimits,
    ResolutionReport,
    checked_corrections,
    identify,
    resolve_fully,
    train_account_links,
    train_links,
)
from models.identity.simulation import Simulation, simulate

__all__ = [
    "CORRECTED",
    "Correction",
    "Decision",
    "FullLimits",
    "IdentityLimits",
    "IdentityReport",
    "ResolutionReport",
    "Simulation",
    "checked_corrections",
    "identify",
    "resolve",
    "resolve_fully",
    "simulate",
    "train_account_links",
    "train_links",
]
