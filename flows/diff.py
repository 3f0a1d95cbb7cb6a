"""What changed between two versions: rows, KPIs, segments, and from which source."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import duckdb

from cohorte.warehouse import VersionInfo, connect_reader, version_info, version_path
from cohorte.workspace import Workspace

BY_SOURCE = {
    "records": "select source, count(*) from identities group by all",
    "orders": "select source, count(*) from orders group by all",
    "interactions": "select source, count(*) from interactions group by all",
    "leads": "select source, count(*) from leads group by all",
    "rejected": "select source, sum(rejected) from source_quality group by all",
}


@dataclass(frozen=True)
class Change:
    """One figure in both versions; absent in one, none."""

    what: str
    name: str
    before: Decimal | None
    after: Decimal | None

    @property
    def difference(self) -> Decimal:
        return (self.after or Decimal(0)) - (self.before or Decimal(0))

    def as_json(self) -> dict[str, Any]:
        shown = {
            name: None if value is None else format(value, "f")
            for name, value in (("before", self.before), ("after", self.after))
        }
        return {"what": self.what, "name": self.name, **shown, "difference": str(self.difference)}


@dataclass
class Difference:
    """Two versions compared; only what differs is listed."""

    before: VersionInfo
    after: VersionInfo
    tables_changed: list[str] = field(default_factory=list)
    """Tables whose rows are not the same, though their number may be."""
    changes: list[Change] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "before": {"version": self.before.version, "as_of": self.before.as_of.isoformat()},
            "after": {"version": self.after.version, "as_of": self.after.as_of.isoformat()},
            "tables_changed": self.tables_changed,
            "changes": [change.as_json() for change in self.changes],
        }


def compare(workspace: Workspace, before: str, after: str) -> Difference:
    """Compare two versions kept; NotFoundError when one is not."""
    infos = [version_info(workspace, name) for name in (before, after)]
    old, new = infos
    difference = Difference(old, new)
    names = sorted(old.tables.keys() | new.tables.keys())
    difference.tables_changed = [
        name for name in names if old.tables.get(name) != new.tables.get(name)
    ]
    found = []
    for info in infos:
        with closing(connect_reader(version_path(workspace, info.version))) as version:
            found.append(_figures(version, info))
    for key in sorted(found[0].keys() | found[1].keys()):
        was, now = found[0].get(key), found[1].get(key)
        if was != now:
            difference.changes.append(Change(*key, was, now))
    return difference


def _figures(
    version: duckdb.DuckDBPyConnection, info: VersionInfo
) -> dict[tuple[str, str], Decimal]:
    """Every figure compared, by what it is of and its name."""
    figures = {("rows", name): Decimal(table.rows) for name, table in info.tables.items()}
    queries = {
        "kpi": "select kpi_id, sum(value) from kpi_daily group by all",
        "kpi by source": "select kpi_id || ' ' || source, sum(value) from kpi_daily group by all",
        "segment": "select segment_id, customers_count from segment_sizes",
        "rfm segment": "select rfm_segment, count(*) from rfm group by all",
    } | {f"{what} by source": query for what, query in BY_SOURCE.items()}
    for what, query in queries.items():
        try:
            rows = version.execute(query).fetchall()
        except duckdb.CatalogException:
            continue
        figures |= {(what, str(name)): Decimal(str(value)) for name, value in rows}
    return figures
