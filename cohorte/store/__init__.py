"""The application store: what people enter and what the product must remember of its own doing."""

from cohorte.store.store import Store, open_store
from cohorte.store.tables import (
    Alert,
    AuditEntry,
    Correction,
    Export,
    IdentityDecision,
    IdentityKind,
    IdentityVerdict,
    Note,
    Run,
    RunStatus,
    SegmentDefinition,
    StoredSegment,
    Target,
    User,
)

__all__ = [
    "Alert",
    "AuditEntry",
    "Correction",
    "Export",
    "IdentityDecision",
    "IdentityKind",
    "IdentityVerdict",
    "Note",
    "Run",
    "RunStatus",
    "SegmentDefinition",
    "Store",
    "StoredSegment",
    "Target",
    "User",
    "open_store",
]
