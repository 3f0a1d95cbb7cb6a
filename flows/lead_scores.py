"""Everything about leads in one pass: scores by the workspace's rules and fields, and routing."""

from __future__ import annotations

from datetime import date, datetime

import duckdb

from cohorte.workspace import Workspace
from models.leads import (
    LeadScoreReport,
    read_lead_rules,
    refused_features,
    route_leads,
    score_leads,
)

__all__ = ["score_leads_of"]


def score_leads_of(
    workspace: Workspace,
    work: duckdb.DuckDBPyConnection,
    *,
    as_of: date,
    now: datetime,
    retrain: bool = False,
) -> LeadScoreReport:
    """Write ``scores.lead_scores`` and ``scores.lead_routing`` of a workspace.

    Raises SettingsError when a rule of the workspace tests what is not known when a lead comes in.
    """
    report = score_leads(
        work,
        as_of=as_of,
        settings=workspace.settings,
        artifacts_dir=workspace.artifacts_dir,
        now=now,
        retrain=retrain,
        rules=read_lead_rules(workspace.root),
        refused=refused_features(workspace.sources()),
    )
    route_leads(work, as_of)
    return report
