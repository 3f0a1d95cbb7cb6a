"""A run rehearsed on a copy with other settings of identity: segments and KPIs before it is done.

The stations of the run itself, from ``identify`` on, work on a copy of the workspace that is gone
when they end; scores alone are those of the last run, for learning costs more than the rest.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import yaml

from cohorte.errors import SettingsError
from cohorte.kpis.figures import kpi_values, last_days
from cohorte.said import said
from cohorte.settings import IdentitySettings
from cohorte.warehouse import open_served
from cohorte.workspace import SETTINGS_FILE, Workspace, open_workspace
from flows.run import RunOptions, new_context
from flows.stations import run_station

__all__ = ["LARGEST", "STATIONS_REHEARSED", "Rehearsal", "rehearse"]

LARGEST = 200_000
"""Records beyond which a rehearsal, which takes what a run does, would keep a person waiting."""

STATIONS_REHEARSED = ("identify", "unify", "features", "profile", "segment", "publish")

KPIS = (
    "net_revenue", "orders", "active_customers", "new_customers", "returning_customers",
    "repeat_rate", "retention_rate", "churn_rate", "purchase_frequency", "clv_historic",
    "duplicate_rate",
)  # fmt: skip
"""What hangs on who is who; revenue and orders must not, and are there to show it."""

_COPIED = ("work.duckdb", "identity.duckdb", "history.duckdb", "current.json", "format.json")


@dataclass(frozen=True)
class Rehearsal:
    """Pairs of before and after, by name; KPIs are of the last 365 days."""

    customers: tuple[int, int]
    segments: dict[str, tuple[int, int]]
    kpis: dict[str, tuple[Decimal | None, Decimal | None]]


def rehearse(workspace: Workspace, settings: IdentitySettings, *, now: datetime) -> Rehearsal:
    """Run the stations that hang on identity on a copy, and compare with what is served.

    NotFoundError when nothing is published yet; SettingsError when the workspace has more than
    ``LARGEST`` records; GateError when such a run would be stopped.
    """
    info, served = open_served(workspace)
    with served:
        (records,) = served.execute("select count(*) from identities").fetchall()[0]
        if records > LARGEST:
            raise SettingsError(
                said(
                    "{records:,} records are too many to rehearse a run on ({largest:,} at most)",
                    records=int(records),
                    largest=LARGEST,
                ),
                remedy="look at the changes of customers, which are predicted at any size",
            )
        before = _figures(served, info.as_of)
    with tempfile.TemporaryDirectory(dir=workspace.temp_dir) as name:
        copy = _copied(workspace, Path(name) / "rehearsal", settings)
        context = new_context(copy, RunOptions(only="identify", as_of=info.as_of), now)
        context.accept_changes = True
        try:
            for station in STATIONS_REHEARSED:
                run_station(context, station)
        finally:
            context.close()
        _info, made = open_served(copy)
        with made:
            after = _figures(made, info.as_of)
    names = sorted(before[1].keys() | after[1].keys())
    return Rehearsal(
        customers=(before[0], after[0]),
        segments={name: (before[1].get(name, 0), after[1].get(name, 0)) for name in names},
        kpis={name: (before[2][name], after[2][name]) for name in KPIS},
    )


def _figures(
    con: duckdb.DuckDBPyConnection, as_of: date
) -> tuple[int, dict[str, int], dict[str, Decimal | None]]:
    (customers,) = con.execute("select count(*) from customers").fetchall()[0]
    segments = con.execute(
        "select segment_id, count(*) from segment_memberships group by 1 order by 1"
    ).fetchall()
    values = kpi_values(con, KPIS, last_days(365, as_of))
    return (
        int(customers),
        {str(name): int(count) for name, count in segments},
        {name: values[name].value for name in KPIS},
    )


def _copied(workspace: Workspace, root: Path, settings: IdentitySettings) -> Workspace:
    """A workspace of its own with other settings; what arrived is shared, the rest copied."""
    root.mkdir()
    declared = yaml.safe_load((workspace.root / SETTINGS_FILE).read_text(encoding="utf-8")) or {}
    declared["identity"] = settings.model_dump(mode="json")
    (root / SETTINGS_FILE).write_text(
        yaml.safe_dump(declared, allow_unicode=True), encoding="utf-8"
    )
    for folder in ("sources", "segments", "artifacts"):
        if (workspace.root / folder).is_dir():
            shutil.copytree(workspace.root / folder, root / folder)
    for path in workspace.root.glob("store.db*"):
        shutil.copy2(path, root / path.name)
    copy = open_workspace(root)
    copy.make_folders()
    theirs, ours = workspace.work_path.parent, copy.work_path.parent
    for name in _COPIED:
        if (theirs / name).exists():
            shutil.copy2(theirs / name, ours / name)
    for path in (workspace.raw_path, *workspace.versions_dir.glob("*.duckdb")):
        _share(path, ours / path.relative_to(theirs))
    return copy


def _share(path: Path, other: Path) -> None:
    """The same file in another place; a copy where the disk has no links."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copy2(path, other)
