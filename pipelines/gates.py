"""The gates before publication: a version is published when all pass, else the old one stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from cohorte.said import listed, said
from cohorte.settings import WorkspaceSettings
from cohorte.sources import Source


@dataclass(frozen=True)
class Gate:
    """One check: what it asks, whether it holds, and when not, what to look at."""

    gate: str
    passed: bool
    detail: str

    @property
    def told(self) -> str:
        """The detail without dbt's own messages, which may quote a value of a row."""
        if self.gate != "dbt":
            return self.detail
        return "; ".join(part.partition(":")[0] for part in self.detail.split("; "))


def dbt_gate(failures: Iterable[str]) -> Gate:
    """Passes when no dbt model or test failed; ``failures`` are their messages."""
    messages = list(failures)
    detail = listed(messages[:5]) or said("every model and test of dbt passed")
    return Gate("dbt", not messages, detail)


def reconciliation_gate(work: duckdb.DuckDBPyConnection) -> Gate:
    """Passes when every additive total ties to the accepted source rows, to the cent."""
    rows = work.execute(
        "select source, measure, source_value, published_value from marts.reconciliation"
        " where difference <> 0 or difference is null order by all"
    ).fetchall()
    if not rows:
        return Gate("reconciliation", True, said("every total ties to the accepted source rows"))
    off = (
        said(
            "{source} {measure}: source {expected}, published {found}",
            source=source,
            measure=measure,
            expected=expected,
            found=found,
        )
        for source, measure, expected, found in rows[:5]
    )
    return Gate("reconciliation", False, listed(off))


def rejects_gate(
    work: duckdb.DuckDBPyConnection, settings: WorkspaceSettings, sources: Iterable[Source]
) -> Gate:
    """Passes when each source's share of rejected records is within its limit."""
    limits = {
        source.source: settings.reject_limit if source.reject_limit is None else source.reject_limit
        for source in sources
    }
    rows = work.execute(
        "select source, sum(records), sum(rejected) from raw.files"
        " where status = 'loaded' group by source order by source"
    ).fetchall()
    over = [
        said(
            "{source}: {rejected:,} of {records:,} records rejected",
            source=source,
            rejected=rejected,
            records=records,
        )
        for source, records, rejected in rows
        if records and rejected / records > limits.get(source, settings.reject_limit)
    ]
    detail = listed(over) or said("rejects are within the limit of every source")
    return Gate("rejects", not over, detail)
