"""What is common in the company's data, counted once and kept beside the link model.

How rare a name is, which e-mail domains are providers, how many records of two are one person:
if every pass counted these anew, each new record would alter the weight of every pair. They are
counted when the model is trained and when the population has changed enough, and every pass goes
by the last count until then; so a pass over what is new comes to what a pass over everything does.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from cohorte.errors import CohorteError
from models.identity.artifact import replace_file
from models.identity.contradictions import Reliability
from models.identity.exact import columns_read
from models.identity.linking import Blocking

__all__ = [
    "Census", "count_contacts", "empty_values", "load_census", "save_census",
    "why_stale",
]  # fmt: skip

_CARD, _VALUES = "census.json", "census.parquet"
_SAMPLE = 50_000


@dataclass(frozen=True)
class Census:
    """One count; the values that go with it are in the table ``census_values``."""

    model: str
    """Version of the link model that it was counted for."""

    contacts: dict[str, Any]
    """What ``count_contacts`` found."""

    columns: tuple[str, ...]
    """Columns known of enough records to be compared."""

    blocking: tuple[Blocking, ...]
    references: dict[str, str]
    """The source that a source's external ids are contact ids of."""

    totals: dict[str, int]
    """Records with a known value, by column whose values are weighed by how rare they are."""

    start: float
    """The prior that pairs are scored by."""

    prior: float
    """The prior that fits them, by which they are weighed."""

    reliability: Reliability
    version: str = field(default="", compare=False)


def empty_values(con: duckdb.DuckDBPyConnection) -> None:
    """``census_values``: one row per thing counted and value; the value as a hash, for privacy."""
    con.execute(
        "create or replace temp table census_values (field varchar, value ubigint, records bigint)"
    )


def count_contacts(con: duckdb.DuckDBPyConnection, every: int | None = None) -> dict[str, Any]:
    """Records and known values by source on a sample of ``staging.stg_contacts``, and bursts.

    The sample is one record in ``every``, by its id, so that it holds the same records from one
    pass to the next. Values met in it often enough to matter are in ``common``.
    """
    records = int(con.execute("select count(*) from staging.stg_contacts").fetchall()[0][0])
    every = every or max(1, records // _SAMPLE)
    watched = [name for name in columns_read(con, "staging.stg_contacts") if name != "created_at"]
    con.execute(f"""
        create or replace temp table _identity_sample as
        select source, {", ".join(watched)} from staging.stg_contacts
        where hash(source, contact_id) % {every} = 0
    """)
    sources = con.execute("select distinct source from staging.stg_contacts").fetchall()
    counted = con.execute(
        f"select source, count(*), {', '.join(f'count({name})' for name in watched)}"
        " from _identity_sample group by source"
    ).fetchall()
    sampled = sum(row[1] for row in counted)
    common = {}
    for name in watched:
        common[name] = {
            str(value): int(held)
            for value, held in con.execute(
                f"select hash({name}::varchar), count(*) as held from _identity_sample"
                f" where {name} is not null group by {name} having held >= ?",
                [max(12, sampled // 4000)],
            ).fetchall()
        }  # fmt: skip
    con.execute("drop table _identity_sample")
    return {
        "records": records,
        "every": every,
        "sampled": sampled,
        "sources": sorted(str(source) for (source,) in sources),
        "known": {
            str(source): {"records": held, **dict(zip(watched, known, strict=True))}
            for source, held, *known in counted
        },
        "common": common,
    }


def why_stale(census: Census, model: str, con: duckdb.DuckDBPyConnection) -> str | None:
    """Why the records staged are to be counted anew; None while the last count holds.

    It asks the staged records and the census alone, so a pass over what is new and one over
    everything agree.
    """
    if census.model != model:
        return "the link model is another"
    before = census.contacts
    after = count_contacts(con, int(before["every"]))
    if not 0.8 * before["records"] <= after["records"] <= 1.25 * before["records"]:
        return f"{before['records']} records have become {after['records']}"
    if before["sources"] != after["sources"]:
        return "the sources are others"
    for source, known in after["known"].items():
        held = before["known"].get(source, {"records": 0})
        for name, count in known.items():
            share = count / known["records"]
            was = held.get(name, 0) / max(held["records"], 1)
            moved = abs(count - was * known["records"])
            if name != "records" and moved > 50 and abs(share - was) > 0.05:
                return f"{name} of source {source} is known of {share:.0%}, and was of {was:.0%}"
    floor = max(50, after["sampled"] // 1000)
    for name, values in after["common"].items():
        for value, count in values.items():
            if count >= floor and count > 4 * before["common"].get(name, {}).get(value, floor // 4):
                return f"a value of {name} has become common"
    return None


def save_census(con: duckdb.DuckDBPyConnection, folder: Path, census: Census) -> Census:
    """Keep a census and ``census_values``; the card is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{_VALUES}"
    con.execute(
        "copy (from census_values order by field, value) to ? (format parquet, compression zstd)",
        [str(draft)],
    )
    digest = _digest(draft.read_bytes())
    path = folder / f"{digest[:12]}-{_VALUES}"
    draft.replace(path)
    content = asdict(census) | {
        "version": digest[:12], "sha256": digest, "hashed_by": duckdb.__version__,
    }  # fmt: skip
    replace_file(folder / _CARD, json.dumps(content, sort_keys=True, default=str))
    for other in folder.glob(f"*-{_VALUES}"):
        if other != path:
            other.unlink(missing_ok=True)
    kept = load_census(con, folder)
    if kept is None:
        raise CohorteError("the census was not written", where=str(folder))
    return kept


def load_census(con: duckdb.DuckDBPyConnection, folder: Path) -> Census | None:
    """The last census, its values in ``census_values``; None when there is none that reads."""
    empty_values(con)
    try:
        text = (folder / _CARD).read_bytes()
        content = json.loads(text)
        path = folder / f"{content['version']}-{_VALUES}"
        whole = _digest(path.read_bytes()) == content.pop("sha256")
        if content.pop("hashed_by") != duckdb.__version__ or not whole:
            return None
        census = Census(
            **content
            | {
                "columns": tuple(content["columns"]),
                "blocking": tuple(Blocking(**rule) for rule in content["blocking"]),
                "reliability": Reliability(**content["reliability"]),
                "version": _digest(text)[:12],
            }
        )
        con.execute("insert into census_values from read_parquet(?)", [str(path)])
    except (OSError, ValueError, KeyError, TypeError, duckdb.Error):
        empty_values(con)
        return None
    return census


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
