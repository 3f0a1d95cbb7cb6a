"""Stations that a run leaves as they stand, because what they read is as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import duckdb

from cohorte.said import packed, said, unpacked
from cohorte.warehouse import connect_work, served_version
from cohorte.workspace import Workspace
from pipelines import standing
from pipelines.numbers import NUMBERS
from pipelines.standing import StationNote, digest, files_digest, table_hash

if TYPE_CHECKING:
    from flows.stations import RunContext, StationResult

CHAIN = ("stage", "identify", "unify", "features", "score", "profile", "segment", "publish")
"""Stations that can stand, in the order in which they read of each other."""

READ_BY_IDENTIFY = ("stg_contacts", "stg_accounts")
WITHOUT_A_DAY = ("stage", "identify")


@dataclass
class Kept:
    """What a station came to: from before where it is left as it stands, else once it is done."""

    result: StationResult | None = None


@contextmanager
def standing_station(context: RunContext, name: str) -> Iterator[Kept]:
    """Give the result of a station that need not be done again.

    Of one that must be it is noted that it stands when the block ends well; meanwhile it does not.
    """
    kept = Kept()
    if name not in CHAIN or not context.workspace.raw_path.is_file():
        yield kept
        return
    if not context.is_work_open:
        _open_work(context)
        context.is_work_open = True
    with closing(connect_work(context.workspace)) as work:
        notes = standing.station_notes(work)
        reads = _reads(context, work, name, notes)
        kept.result = _done_before(context, name, notes, reads)
        is_left = kept.result is not None
        if not is_left:
            standing.forget_station(work, name)
    yield kept
    if is_left or reads is None or kept.result is None or context.dbt_failures:
        return
    with closing(connect_work(context.workspace)) as work:
        result = asdict(replace(kept.result, messages=()))
        messages = [packed(message) for message in kept.result.messages]
        standing.note_station(
            work,
            StationNote(
                name,
                reads,
                _leaves(context.workspace, name),
                _content(work, name, reads),
                json.dumps(result | {"messages": messages}),
            ),
        )


def _done_before(
    context: RunContext, name: str, notes: dict[str, StationNote], reads: str | None
) -> StationResult | None:
    """What a station came to, when it need not be done again; None when it must be."""
    note = notes.get(name)
    if (
        context.full_refresh
        or context.retrain
        or note is None
        or note.reads != reads
        or note.leaves != _leaves(context.workspace, name)
        or (name == "segment" and not _is_served_as_noted(context.workspace, notes))
    ):
        return None
    result = _result(note)
    if name != "publish":
        return result
    context.version = served = served_version(context.workspace)
    version = served.version if served else ""
    return replace(result, messages=(said("nothing is new: {version} stays", version=version),))


def _open_work(context: RunContext) -> None:
    """Go on with the build database when this code made it, else begin it anew.

    It is derived from raw and the map of ids, so an empty one costs time and nothing else.
    A run that does not take the whole way goes on with the tables there, and nothing stands.
    """
    workspace, code = context.workspace, standing.code_digest()
    with closing(connect_work(workspace)) as work:
        if not (context.anew and context.full_refresh) and standing.begun_by(work, code):
            return
        if not context.anew:
            standing.forget_all(work)
            return
    path = workspace.work_path
    for each in (path, path.with_name(f"{path.name}.wal")):
        each.unlink(missing_ok=True)
    with closing(connect_work(workspace)) as work:
        standing.begin(work, code)


def _reads(
    context: RunContext,
    work: duckdb.DuckDBPyConnection,
    name: str,
    notes: dict[str, StationNote],
) -> str | None:
    """All that a station reads, in one text; None when something of it does not stand."""
    workspace = context.workspace
    common = [
        _configuration(workspace),
        standing.project_digest(),
        None if name in WITHOUT_A_DAY else context.as_of,
    ]
    if name == "identify":
        staged = standing.contents_of(work, READ_BY_IDENTIFY)
        if len(staged) < len(READ_BY_IDENTIFY):
            return None
        return digest(common, staged, _said_by_people(workspace), context.accept_changes)
    before = CHAIN[: CHAIN.index(name)]
    if any(each not in notes for each in before):
        return None
    segments = _segments(workspace) if name in ("score", "segment", "publish") else None
    return digest(common, _raw_state(work), [notes[each].content for each in before], segments)


def _configuration(workspace: Workspace) -> str:
    """What people wrote in the workspace's files, and the settings as this run has read them."""
    paths = sorted([*workspace.root.glob("*.yml"), *workspace.root.glob("*/*.yml")])
    texts = [(path.relative_to(workspace.root), path.read_text("utf-8")) for path in paths]
    return digest(workspace.settings.model_dump_json(), texts)


def _raw_state(work: duckdb.DuckDBPyConnection) -> str:
    """What raw holds, by its own accounts of it."""
    sizes = work.execute(
        "select table_name, estimated_size from duckdb_tables()"
        " where database_name = 'raw' order by all"
    ).fetchall()
    accounts = [
        table_hash(work, f"raw.{table}").model_dump()
        for table in ("files", "snapshots", "address_verdicts")
        if table in dict(sizes)
    ]
    return digest(sizes, accounts)


def _said_by_people(workspace: Workspace) -> str:
    """What people decided about records and set right of customers."""
    from cohorte.store import IdentityKind, open_store
    from models.identity import Correction

    with open_store(workspace.store_url) as store:
        held = [
            (each.decision_id, each.verdict, each.withdrawn_at)
            for kind in get_args(IdentityKind)
            for each in store.list_identity_decisions(kind, with_withdrawn=True)
        ]
        return digest(held, Correction.of_store(store))


def _segments(workspace: Workspace) -> str:
    from cohorte.segments import all_segments
    from cohorte.store import open_store

    with open_store(workspace.store_url) as store:
        return digest(all_segments(workspace, store))


def _leaves(workspace: Workspace, name: str) -> str:
    """What a station writes that is kept outside of the build database, as it lies there now."""
    paths: Sequence[Path] = ()
    served = None
    if name == "identify":
        from models.identity.resolution import map_path

        learned = workspace.artifacts_dir / "identity"
        paths = [map_path(workspace), *learned.rglob("*")]
    elif name == "score":
        paths = [path for path in workspace.artifacts_dir.rglob("*") if path.is_file()]
    elif name == "publish":
        from pipelines.history import history_path

        paths = [history_path(workspace)]
        version = served_version(workspace)
        served = version.version if version else None
    return digest(served, files_digest(workspace.root, paths))


def _is_served_as_noted(workspace: Workspace, notes: dict[str, StationNote]) -> bool:
    """Who entered and left is told against what is served, so it must be what was published."""
    note = notes.get("publish")
    return note is not None and note.leaves == _leaves(workspace, "publish")


def _content(work: duckdb.DuckDBPyConnection, name: str, reads: str) -> str:
    """What a station wrote into the build database."""
    if name == "identify":
        return standing.schema_digest(work, "identity")
    if name == "score":
        return standing.schema_digest(work, "scores")
    if name in ("segment", "publish"):
        return reads
    if name == "features":  # numbers are no content of what dbt built, but later stations read them
        return digest(standing.nodes_digest(work, name), table_hash(work, NUMBERS).model_dump())
    return standing.nodes_digest(work, name)


def _result(note: StationNote) -> StationResult:
    """The result as it was told; what identity told was of what changed then."""
    from flows.stations import StationResult

    told = json.loads(note.result)
    messages = () if note.station == "identify" else tuple(map(unpacked, told["messages"]))
    return StationResult(**told | {"messages": messages})
