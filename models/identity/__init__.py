"""Records of the sources become customers."""

from models.identity.exact import IdentityLimits, IdentityReport, resolve

__all__ = ["IdentityLimits", "IdentityReport", "resolve"]
