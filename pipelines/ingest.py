"""Stations extract, check and load, over every source of a workspace.

What is wrong with one delivery stops that delivery only: it is recorded as quarantined, with a
message that names file, line, column and remedy, and the others go on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

from cohorte.contracts import contracts
from cohorte.errors import CohorteError, SettingsError
from cohorte.i18n import N_
from cohorte.logs import logger
from cohorte.said import said
from cohorte.settings import WorkspaceSettings
from cohorte.sources import Feed, Source
from cohorte.warehouse import RAW_DDL, connect_raw, writer_config
from cohorte.workspace import Workspace
from pipelines.check import project_feed
from pipelines.connectors import CONNECTORS
from pipelines.connectors.archive import (
    GZIP_MARK,
    Member,
    first_bytes,
    is_zip,
    members,
    unpack_gzip,
    unpack_member,
)
from pipelines.connectors.dialect import mapped_columns
from pipelines.connectors.extract import (
    WORK_TABLES,
    Delivery,
    Extract,
    Prepared,
    QuarantineError,
)
from pipelines.connectors.inspection import content_hash
from pipelines.connectors.quoting import identifier, literal
from pipelines.inbox import Found, Stamp, find_files, safe_name, stamp
from pipelines.load import (
    FileRow,
    Snapshots,
    doubtful_times,
    first_rejects,
    load,
    load_quarantined,
    next_file_id,
    rejected_records,
    type_rows,
)
from pipelines.replay import replay_rejected

WILDCARDS = "*?["
BATCH_BYTES = 192_000_000  # JSON lines are wide: fewer bytes do not fill a second core
BATCH_FILES = 400
FILE_ERRORS = (QuarantineError, SettingsError, duckdb.Error)
CLOCK_WORDS = {
    "ambiguous_time": N_("happen twice that night and are read as the later"),
    "nonexistent_time": N_("do not exist in their zone and are moved on by the clock's change"),
}
OPTIONAL_COLUMNS = ("json", "json_lines", "rest")
Status = Literal["loaded", "empty", "quarantined", "known", "missing", "unfinished"]
READS_NOTHING = ("feed", "files", "done_mark", "url", "rest", "incremental")


@dataclass(frozen=True)
class FileReport:
    """What became of one delivery. Counts are records of the file.

    ``status`` is loaded, empty (a header without records), quarantined, known (the same content
    came before), missing (no file for a pattern), or unfinished (still being written). ``rows``
    counts rows entered by entity. ``is_replay``: read again, because its mapping has changed.
    """

    source: str
    feed: str
    name: str
    status: Status
    records: int = 0
    accepted: int = 0
    rejected: int = 0
    seconds: float = 0.0
    messages: tuple[str, ...] = ()
    rows: tuple[tuple[str, int], ...] = ()
    is_replay: bool = False


@dataclass
class IngestReport:
    """One pass over the sources."""

    files: list[FileReport] = field(default_factory=list)
    seconds: float = 0.0
    is_dry_run: bool = False

    @property
    def records(self) -> int:
        return sum(file.records for file in self.files)

    @property
    def accepted(self) -> int:
        return sum(file.accepted for file in self.files)

    @property
    def rejected(self) -> int:
        return sum(file.rejected for file in self.files)

    @property
    def rows(self) -> dict[str, int]:
        """Rows that entered, by entity."""
        result: dict[str, int] = {}
        for file in self.files:
            for entity, count in file.rows:
                result[entity] = result.get(entity, 0) + count
        return result

    @property
    def messages(self) -> list[str]:
        return [message for file in self.files for message in file.messages]

    def count(self, status: Status) -> int:
        """Deliveries of a status."""
        return sum(file.status == status for file in self.files)


@dataclass(frozen=True)
class Reading:
    """A delivery that is about to be read."""

    source: str
    feed: str
    name: str
    content_hash: str | None
    bytes: int


Progress = Callable[[FileReport, int, int], None]


def ingest(
    workspace: Workspace,
    *,
    now: datetime,
    only_sources: Iterable[str] | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    reading: Callable[[Sequence[Reading]], None] | None = None,
    one_by_one: bool = False,
    passed_over: Iterable[str] = (),
) -> IngestReport:
    """Take in what is new of every source, or of those named.

    ``progress`` is called after each delivery with its report, how many are done, and how many
    there are in its feed; ``reading`` before deliveries are read, together unless ``one_by_one``.
    Contents ``passed_over`` are left alone. A dry run does everything in memory, writes nothing.
    Raises SettingsError for a source that does not read, and for a time without a zone; trouble
    with a delivery is in the report.
    """
    if now.tzinfo is None:
        raise SettingsError(
            said("the current time carries no time zone"), remedy=said("pass an aware one")
        )
    started = time.perf_counter()
    wanted = None if only_sources is None else set(only_sources)
    report = IngestReport(is_dry_run=dry_run)
    temp_dir = workspace.temp_dir / "ingest"
    shutil.rmtree(temp_dir, ignore_errors=True)
    temp_dir.mkdir(parents=True)
    connection = _rehearsal(workspace) if dry_run else connect_raw(workspace)
    try:
        station = _Station(workspace, connection, temp_dir, now, report, progress)
        station.reading, station.one_by_one = reading, one_by_one
        station.passed_over = frozenset(passed_over)
        for source in workspace.sources():
            if wanted is None or source.source in wanted:
                for feed in source.feeds:
                    _Intake(station, source, feed).take()
    finally:
        connection.close()
        shutil.rmtree(temp_dir, ignore_errors=True)
    report.seconds = time.perf_counter() - started
    return report


@dataclass(frozen=True)
class Preview:
    """The first rows of one entity as they would be read."""

    entity: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    count: int


@dataclass(frozen=True)
class RejectedRow:
    """A row that would be rejected, and why."""

    file: str
    line: int | None
    entity: str | None
    column: str | None
    reason: str
    value: str | None
    row_text: str | None


@dataclass(frozen=True)
class Rehearsal:
    """A source tried in memory: the report, the first accepted rows and the first rejected."""

    report: IngestReport
    previews: tuple[Preview, ...]
    rejected: tuple[RejectedRow, ...]


def rehearse(
    workspace: Workspace,
    source: Source,
    *,
    now: datetime,
    rows: int = 50,
    progress: Progress | None = None,
) -> Rehearsal:
    """Try a source on its files as if none had come before; nothing is written.

    The source need not be in the workspace.
    """
    started = time.perf_counter()
    report = IngestReport(is_dry_run=True)
    connection = _rehearsal(workspace, with_known=False)
    temp_dir = Path(tempfile.mkdtemp(prefix="rehearsal", dir=_made(workspace.temp_dir)))
    try:
        station = _Station(workspace, connection, temp_dir, now, report, progress)
        for feed in source.feeds:
            _Intake(station, source, feed).take()
        previews = [
            _preview(connection, entity, rows)
            for entity in dict.fromkeys(name for feed in source.feeds for name in feed.entities)
        ]
        rejected = connection.execute(
            "select name, line, entity, column_name, rejected_rows.reason, value, row_text"
            " from rejected_rows join files using (file_id) order by file_id, line limit ?",
            [rows],
        ).fetchall()
    finally:
        connection.close()
        shutil.rmtree(temp_dir, ignore_errors=True)
    report.seconds = time.perf_counter() - started
    return Rehearsal(report, tuple(previews), tuple(RejectedRow(*row) for row in rejected))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _preview(connection: duckdb.DuckDBPyConnection, entity: str, rows: int) -> Preview:
    """The first rows with the columns that any of them fills."""
    names = contracts()[entity].column_names
    counts = connection.execute(
        f"select count(*), {', '.join(f'count({identifier(name)})' for name in names)}"
        f" from {identifier(entity)}"
    ).fetchall()[0]
    filled = tuple(name for name, count in zip(names, counts[1:], strict=True) if count)
    if not filled:
        return Preview(entity, (), (), counts[0])
    first = connection.execute(
        f"select {', '.join(map(identifier, filled))} from {identifier(entity)}"
        " order by _file_id, _line limit ?",
        [rows],
    ).fetchall()
    return Preview(entity, filled, tuple(first), counts[0])


def _rehearsal(workspace: Workspace, *, with_known: bool = True) -> duckdb.DuckDBPyConnection:
    """A database in memory that knows which deliveries the real one has."""
    config = writer_config(workspace.settings, workspace.temp_dir)
    config.pop("storage_compatibility_version", None)
    connection = duckdb.connect(config=config)
    connection.execute("set TimeZone = 'UTC'")
    for known in contracts().values():
        connection.execute(known.raw_ddl())
    connection.execute(RAW_DDL)
    if with_known and workspace.raw_path.is_file():
        connection.execute(f"attach {literal(str(workspace.raw_path))} as _real (read_only)")
        connection.execute("insert into files by name select * from _real.files")
        connection.execute("detach _real")
    return connection


class _Station:
    """What all feeds of one pass share."""

    def __init__(
        self,
        workspace: Workspace,
        connection: duckdb.DuckDBPyConnection,
        temp_dir: Path,
        now: datetime,
        report: IngestReport,
        progress: Progress | None,
    ) -> None:
        self.workspace = workspace
        self.connection = connection
        self.temp_dir = temp_dir
        self.report = report
        self.progress = progress
        self.reading: Callable[[Sequence[Reading]], None] | None = None
        self.one_by_one = False
        self.passed_over: frozenset[str] = frozenset()
        self.stale: set[int] = set()
        self._now = max(now.astimezone(UTC).replace(tzinfo=None), _last_moment(connection))
        self._first_id = self._next_id = next_file_id(connection)

    def number(self) -> int:
        """A number for one more delivery."""
        self._next_id += 1
        return self._next_id - 1

    def loaded_at(self, file_id: int) -> datetime:
        """When a delivery counts as loaded: each a microsecond after the one before."""
        return self._now + timedelta(microseconds=file_id - self._first_id)


@dataclass(frozen=True)
class _Known:
    """A delivery whose content came before, and the mapping under which it was read."""

    file_id: int
    status: str
    reason: str | None
    mapping: str
    limit: float | None
    loaded_at: datetime | None


class _Intake:
    """One feed: what of it is new, and taking that in.

    A content that came before is read again when the mapping has changed since: what it gave then
    is replaced in the same transaction, under the same number and time of arrival.
    """

    def __init__(self, station: _Station, source: Source, feed: Feed) -> None:
        self.station = station
        self.connection = station.connection
        self.source = source
        self.feed = feed
        self.connector = CONNECTORS[feed.format]
        settings = station.workspace.settings
        limit = source.reject_limit
        self.limit = settings.reject_limit if limit is None else limit
        self.mapping = mapping_hash(feed, source, settings)
        self.hashes: dict[int, tuple[str, int]] = {}
        self.replaces: dict[int, _Known] = {}
        self.stamps: dict[int, tuple[Path, Stamp]] = {}
        self.members: dict[int, Member] = {}
        self.present: set[str] = set()
        self.replayed: set[int] = set()
        self.columns = self._last_columns()
        self.done = 0
        self.total = 1

    def take(self) -> None:
        """Take in the new deliveries of the feed, in the order of their names."""
        reports = self.station.report.files
        first = len(reports)
        self._take_all()
        if self.feed.is_of_files and not self.station.report.is_dry_run:
            self._replay_rejected()
        reports[first:] = sorted(reports[first:], key=lambda report: report.name)

    def _replay_rejected(self) -> None:
        """Rejected rows of files that are no longer there, under the mapping of today."""
        started = time.perf_counter()
        settings = self.station.workspace.settings
        try:
            for one in replay_rejected(
                self.connection, self.feed, self.source, settings, self.mapping, self.present
            ):
                stays = one.file.records - one.tried
                news = said(
                    "{name}: {entered:,} of {tried:,} rejected records enter by the mended mapping,"
                    " read from raw as the file is no longer there; the {stays:,} that had entered"
                    " stay as they were read: deliver the file again to read it whole",
                    name=one.file.name,
                    entered=one.entered,
                    tried=one.tried,
                    stays=stays,
                )
                counted = FileRow(**(vars(one.file) | {"records": one.tried}))
                counted.accepted, counted.rejected = one.entered, one.tried - one.entered
                self.replayed.add(one.file.file_id)
                seconds = time.perf_counter() - started
                self._tell("loaded", one.file.name, file=counted, seconds=seconds, messages=(news,))
        except QuarantineError as error:
            self._tell("missing", error.where, messages=(error.said,))

    def _take_all(self) -> None:
        """Neighbours of one key are read together; the order of the names is kept.

        So a run that was cut leaves the first deliveries, never a later one before an earlier.
        """
        group: list[Prepared] = []
        for delivery in self._new_deliveries():
            prepared = self._prepared(delivery)
            if prepared is None:
                continue
            size = sum(one.size for one in group) + prepared.size
            is_full = len(group) >= BATCH_FILES or size > BATCH_BYTES or self.station.one_by_one
            if group and (is_full or group[0].key != prepared.key):
                self._take_group(group)
                group = []
            group.append(prepared)
        if group:
            self._take_group(group)

    def _new_deliveries(self) -> Iterator[Delivery]:
        """The feed's query, or its files whose content did not come before."""
        if not self.feed.is_of_files:
            name = self.feed.table or ("query" if self.feed.query else "answers")
            yield Delivery(self.station.number(), name, since=self._watermark())
            return
        try:
            found = self._files()
        except CohorteError as error:
            self._tell("missing", "", messages=(error.said,))
            return
        self.total = len(found.files)
        for name in found.unfinished:
            news = said("{name}: still being written; it is taken once it is whole", name=name)
            self._tell("unfinished", name, messages=(news,))
        known = self._known()
        for name, path in found.files:
            try:
                before_hash = stamp(path)
                file_hash = content_hash(path)
                packed = self._members(name, path, file_hash, known)
            except (FileNotFoundError, PermissionError) as error:
                self._quarantine_once(name, _unreadable(name, error.strerror or "no reason given"))
                continue
            except QuarantineError as error:
                if delivery := self._new(name, path, file_hash, before_hash, known):
                    self._refuse(delivery, error)
                continue
            if packed is None:
                if delivery := self._new(name, path, file_hash, before_hash, known):
                    yield delivery
                continue
            for member in packed:
                inner_hash = hashlib.sha256(f"{file_hash}/{member.name}".encode()).hexdigest()
                inner_name = f"{name}/{safe_name(member.name)}"
                if delivery := self._new(inner_name, path, inner_hash, before_hash, known):
                    self.members[delivery.file_id] = member
                    yield delivery

    def _members(
        self, name: str, path: Path, file_hash: str, known: dict[str, _Known]
    ) -> list[Member] | None:
        """The files of a zip archive; none for any other file. A workbook is no archive."""
        if file_hash in known or not is_zip(path):
            return None
        if self.feed.format == "excel" and not path.name.lower().endswith(".zip"):
            return None
        return members(path, name)

    def _new(
        self, name: str, path: Path, file_hash: str, seen: Stamp, known: dict[str, _Known]
    ) -> Delivery | None:
        """The delivery of a content that is new or is read again; else what it is, is told."""
        self.present.add(file_hash)
        before = known.get(file_hash)
        if file_hash in self.station.passed_over:
            return None
        if before is not None and before.mapping == self.mapping:
            if before.status != "quarantined":
                self._tell("known", name)
                return None
            if before.limit == self.limit:
                self._tell("quarantined", name, messages=(_as_before(before.reason),))
                return None
        number = self.station.number() if before is None else before.file_id
        if before is not None:
            self.replaces[number] = before
        known[file_hash] = _Known(number, "loaded", None, self.mapping, self.limit, None)
        self.hashes[number] = (file_hash, seen.size)
        self.stamps[number] = (path, seen)
        return Delivery(number, name, path)

    def _prepared(self, delivery: Delivery) -> Prepared | None:
        """A delivery looked at; what is wrong with it is told, and there is none."""
        self._announce([delivery])
        try:
            return self.connector.prepare(
                self.connection, self._unpacked(delivery), self.feed, self.station.temp_dir
            )
        except FILE_ERRORS as error:
            self._refuse(delivery, error)
            return None

    def _announce(self, deliveries: Sequence[Delivery]) -> None:
        """Say what is about to be read, so that a crash has a culprit."""
        if self.station.reading is None:
            return
        self.station.reading(
            [
                Reading(
                    self.source.source,
                    self.feed.feed,
                    delivery.name,
                    *self.hashes.get(delivery.file_id, (None, 0)),
                )
                for delivery in deliveries
            ]
        )

    def _unpacked(self, delivery: Delivery) -> Delivery:
        """The delivery with the path of its plain bytes, where its reader wants them so."""
        if delivery.path is None:
            return delivery
        is_workbook = self.feed.format == "excel"
        target = self.station.temp_dir / f"{delivery.file_id}.plain"
        member = self.members.get(delivery.file_id)
        if member is not None:
            unpack_member(delivery.path, member, delivery.name, target, is_workbook=is_workbook)
        elif is_workbook or self.feed.format == "parquet":
            if not first_bytes(delivery.path).startswith(GZIP_MARK):
                return delivery
            unpack_gzip(delivery.path, delivery.name, target, is_workbook=is_workbook)
        else:
            return delivery
        return replace(delivery, path=target)

    def _take_group(self, group: Sequence[Prepared]) -> None:
        """Read deliveries together and take them in; where that fails, each by itself."""
        started = time.perf_counter()
        self._announce([one.delivery for one in group])
        deliveries = {one.delivery.file_id: one.delivery for one in group}
        try:
            extract = self.connector.read(self.connection, self.feed, group)
            read = [deliveries[file_id] for file_id in sorted(extract.records)]
            if read and not self._came_before(read[0], extract):
                self._finish(read, extract, started)
            for file_id, wrong in extract.refused.items():
                self._refuse(deliveries[file_id], wrong)
        except FILE_ERRORS as error:
            if len(group) == 1:
                self._refuse(group[0].delivery, error)
            else:
                _raise_if_not_the_files(error)
                for one in group:
                    self._take_group([one])
        for table in WORK_TABLES:
            self.connection.execute(f"drop table if exists {table}")
        for one in group:
            for path in self.station.temp_dir.glob(f"{one.delivery.file_id}.*"):
                path.unlink()

    def _came_before(self, delivery: Delivery, extract: Extract) -> bool:
        """Whether what a query gave is known; told if so."""
        if extract.content_hash is None:
            return False
        self.hashes[delivery.file_id] = (extract.content_hash, 0)
        known = self._known()
        before = known.get(extract.content_hash)
        if before is None or before.mapping != self.mapping:
            stale = [one for one in known.values() if one.mapping != self.mapping]
            self.station.stale |= {one.file_id for one in stale}
            return False
        is_refused = before.status == "quarantined"
        if is_refused and before.limit != self.limit:
            self.station.stale.add(before.file_id)
            return False
        self._tell(
            "quarantined" if is_refused else "known",
            delivery.name,
            messages=(_as_before(before.reason),) if is_refused else (),
        )
        return True

    def _refuse(self, delivery: Delivery, error: CohorteError | duckdb.Error) -> None:
        """Record and tell what is wrong with a delivery as a whole."""
        if isinstance(error, duckdb.Error):
            _raise_if_not_the_files(error)
            reason = said(
                "it does not read as {format}: {error}",
                format=self.feed.format,
                error=str(error).partition(chr(10))[0],
            )
            wrong = _unreadable(delivery.name, reason)
        elif isinstance(error, QuarantineError):
            wrong = error
        else:
            wrong = QuarantineError(
                "wrong_declaration", error.message, where=error.where, remedy=error.remedy
            )
        if delivery.file_id in self.hashes:
            self._quarantine(delivery, wrong)
        else:
            self._quarantine_once(delivery.name, wrong)

    def _files(self) -> Found:
        """The feed's files with their names below the folder; what is missing is reported."""
        folder = self.station.workspace.source_dir(self.source)
        if not folder.is_dir():
            raise QuarantineError(
                "missing_folder",
                said("there is no folder {folder}", folder=folder),
                where=f"sources/{self.source.source}.yml",
                remedy=said("make it, or correct folder"),
            )
        found = find_files(folder, self.feed, self.station.workspace.settings.settle_seconds)
        for pattern in found.unmet:
            self._report_missing(pattern, folder)
        return found

    def _report_missing(self, pattern: str, folder: Path) -> None:
        """Tell of a name or pattern without a file, unless one came before."""
        is_pattern = any(character in pattern for character in WILDCARDS)
        came_before = self.connection.execute(
            "select 1 from files where source = ? and feed = ? and content_hash is not null"
            " and (? or name = ?) limit 1",
            [self.source.source, self.feed.feed, is_pattern, pattern],
        ).fetchall()
        if came_before:
            return
        error = QuarantineError(
            "missing_file",
            said("no file has such a name") if is_pattern else said("the file is missing"),
            where=f"{folder}/{pattern}",
            remedy=said('deliver it, or correct files of feed "{feed}"', feed=self.feed.feed),
        )
        if is_pattern:
            self._tell("missing", pattern, messages=(error.said,))
        else:
            self._quarantine_once(pattern, error, again="missing")

    def _quarantine_once(
        self, name: str, error: QuarantineError, again: Status = "quarantined"
    ) -> None:
        """Record a delivery without a content, the first time it is met."""
        was_told = self.connection.execute(
            "select 1 from files where source = ? and feed = ? and name = ?"
            " and content_hash is null limit 1",
            [self.source.source, self.feed.feed, name],
        ).fetchall()
        if was_told:
            self._tell(again, name, messages=(error.said,))
        else:
            self._quarantine(Delivery(self.station.number(), name), error)

    def _known(self) -> dict[str, _Known]:
        """Deliveries that came before, by content; of several with one content the last."""
        return {
            file_hash: _Known(file_id, status, reason, mapping or "", limit, loaded_at)
            for file_hash, file_id, status, reason, mapping, limit, loaded_at in (
                self.connection.execute(
                    "select content_hash, file_id, status, reason, dialect ->> '$.mapping',"
                    " try_cast(dialect ->> '$.limit' as double), loaded_at from files"
                    " where source = ? and feed = ? and content_hash is not null order by file_id",
                    [self.source.source, self.feed.feed],
                ).fetchall()
            )
        }

    def _last_columns(self, before: int | None = None) -> list[str] | None:
        """The columns of the feed's last delivery, or of the one before, where it has any."""
        found = self.connection.execute(
            "select dialect -> '$.columns' from files where source = $source and feed = $feed"
            " and status in ('loaded', 'empty') and ($before is null or file_id < $before)"
            " order by file_id desc limit 1",
            {"source": self.source.source, "feed": self.feed.feed, "before": before},
        ).fetchall()
        return json.loads(found[0][0]) if found and found[0][0] else None

    def _watermark(self) -> str | None:
        """The largest value known of the incremental column, under this mapping."""
        found = self.connection.execute(
            "select dialect ->> '$.watermark' from files where source = ? and feed = ?"
            " and status in ('loaded', 'empty') and dialect ->> '$.mapping' = ?"
            " and dialect ->> '$.watermark' is not null order by file_id desc limit 1",
            [self.source.source, self.feed.feed, self.mapping],
        ).fetchall()
        return str(found[0][0]) if found else None

    def _finish(self, deliveries: Sequence[Delivery], extract: Extract, started: float) -> None:
        """Check and load what was read."""
        settings = self.station.workspace.settings
        typed = type_rows(self.connection, project_feed(self.feed, self.source, settings, extract))
        rejected = rejected_records(self.connection)
        first = first_rejects(self.connection) if rejected else {}
        doubtful = doubtful_times(self.connection, typed)
        files: list[FileRow] = []
        told: dict[int, list[str]] = {}
        for delivery in deliveries:
            file_id = delivery.file_id
            dialect = extract.dialects.get(file_id, {})
            told[file_id] = [*extract.messages.get(file_id, [])]
            told[file_id] += self._column_changes(delivery, dialect)
            if times := doubtful.get(file_id):
                dialect["doubtful_times"] = [list(one) for one in times]
                told[file_id] += [
                    said(
                        "{name}: {count:,} times of {place} {words}, the first in line {line}",
                        name=delivery.name,
                        count=count,
                        place=place,
                        words=said(CLOCK_WORDS[flag]),
                        line=line,
                    )
                    for place, flag, count, line in times
                ]
            file = self._row(delivery, dialect)
            file.records = extract.records[file_id]
            file.rejected = rejected.get(file_id, 0)
            if self._was_written_to(file_id):
                file.status = "quarantined"
                file.reason = said(
                    "{name}: it changed while it was read; the next run reads it", name=file.name
                )
                file.rejected = file.records
            elif file.records == 0:
                file.status = "empty"
            elif file.rejected > self.limit * file.records:
                file.status = "quarantined"
                file.reason = self._over_limit(file, first[file_id])
                file.rejected = file.records
            file.accepted = file.records - file.rejected
            files.append(file)
        loading = [file for file in files if not self._stays(file.file_id, file.status)]
        replaced = {file.file_id for file in loading if file.file_id in self.replaces}
        try:
            rows = load(
                self.connection,
                loading,
                typed,
                replaced=replaced | self.station.stale,
                snapshots=Snapshots.of_feed(self.feed, loading),
            )
        except duckdb.Error as error:
            raise CohorteError(
                said(
                    "the raw database could not be written: {value}",
                    value=str(error).partition(chr(10))[0],
                ),
                where=self.station.workspace.raw_path.name,
                remedy=said(
                    "see that the disk has room, then run again: what came so far is whole"
                ),
            ) from error
        self.station.stale.clear()
        seconds = (time.perf_counter() - started) / len(files)
        for file in files:
            messages = told[file.file_id]
            if file.reason:
                messages.append(self._with_what_stays(file.reason, file.file_id))
            elif file.rejected:
                messages.append(
                    said(
                        "{name}: {rejected:,} of {records:,} records rejected; the first: {first}",
                        name=file.name,
                        rejected=file.rejected,
                        records=file.records,
                        first=first[file.file_id],
                    )
                )
            self._tell(
                _status(file.status),
                file.name,
                file=file,
                seconds=seconds,
                messages=tuple(messages),
                rows=tuple(rows.get(file.file_id, {}).items()),
            )

    def _was_written_to(self, file_id: int) -> bool:
        """Whether a file is no longer the one whose content was hashed."""
        if file_id not in self.stamps:
            return False
        path, seen = self.stamps[file_id]
        return not path.exists() or stamp(path) != seen

    def _stays(self, file_id: int, status: str) -> bool:
        """Whether a delivery keeps what it gave: a mapping that does not fit takes nothing away."""
        before = self.replaces.get(file_id)
        return status == "quarantined" and before is not None and before.status != "quarantined"

    def _with_what_stays(self, reason: str, file_id: int) -> str:
        if self._stays(file_id, "quarantined"):
            return said("{reason}; what the mapping before made of it stays", reason=reason)
        return reason

    def _column_changes(self, delivery: Delivery, dialect: dict[str, Any]) -> list[str]:
        """What came and went of columns since the delivery before, in words; noted in the dialect.

        A mapped column that is absent is told by its reader. Keys of JSON that a delivery lacks
        are not gone: they are remembered, and no news when they are back.
        """
        name, columns = delivery.name, dialect.get("columns")
        if columns is None:
            return []
        is_replay = delivery.file_id in self.replaces
        before = self._last_columns(delivery.file_id) if is_replay else self.columns
        if self.feed.format in OPTIONAL_COLUMNS:
            columns = dialect["columns"] = list(dict.fromkeys([*(before or []), *columns]))
        if not is_replay:
            self.columns = columns
        if before is None:
            return []
        mapped = mapped_columns(self.feed)
        new = [column for column in columns if column not in before]
        gone = [column for column in before if column not in columns]
        if new:
            dialect["new_columns"] = new
        if gone:
            dialect["gone_columns"] = gone
        told: list[str] = []
        if unmapped := [column for column in new if column not in mapped]:
            told.append(
                said(
                    "{name}: new column {columns}, kept in _extra; map it in sources/{source}.yml"
                    " if it says anything (cohorte sources map {source} proposes how)",
                    name=name,
                    columns=_quoted(unmapped),
                    source=self.source.source,
                )
            )
        if unmapped := [column for column in gone if column not in mapped]:
            told.append(
                said(
                    "{name}: column {columns} is no longer delivered",
                    name=name,
                    columns=_quoted(unmapped),
                )
            )
        return told

    def _over_limit(self, file: FileRow, first: str) -> str:
        return said(
            "{name}: {rejected:,} of {records:,} records rejected ({share:.1%}), over the limit of"
            " {limit:.1%}; the first: {first}; correct the file or the mapping, or raise"
            ' reject_limit of source "{source}"',
            name=file.name,
            rejected=file.rejected,
            records=file.records,
            share=file.rejected / file.records,
            limit=self.limit,
            first=first,
            source=self.source.source,
        )

    def _row(self, delivery: Delivery, dialect: dict[str, object]) -> FileRow:
        file_hash, size = self.hashes.get(delivery.file_id, (None, 0))
        return FileRow(
            file_id=delivery.file_id,
            source=self.source.source,
            feed=self.feed.feed,
            name=delivery.name,
            content_hash=file_hash,
            bytes=size,
            loaded_at=self._arrived_at(delivery.file_id),
            dialect=dialect | {"mapping": self.mapping, "limit": self.limit},
        )

    def _arrived_at(self, file_id: int) -> datetime:
        before = self.replaces.get(file_id)
        if before is not None and before.loaded_at is not None:
            return before.loaded_at
        return self.station.loaded_at(file_id)

    def _quarantine(self, delivery: Delivery, error: QuarantineError) -> None:
        file = self._row(delivery, {"code": error.code})
        file.status, file.reason = "quarantined", error.said
        if not self._stays(file.file_id, "quarantined"):
            replaced = {file.file_id} & set(self.replaces)
            load_quarantined(self.connection, file, error, replaced=replaced)
        news = self._with_what_stays(error.said, file.file_id)
        self._tell("quarantined", delivery.name, file=file, messages=(news,))

    def _tell(
        self,
        status: Status,
        name: str,
        *,
        file: FileRow | None = None,
        seconds: float = 0.0,
        messages: tuple[str, ...] = (),
        rows: tuple[tuple[str, int], ...] = (),
    ) -> None:
        report = FileReport(
            source=self.source.source,
            feed=self.feed.feed,
            name=name,
            status=status,
            seconds=seconds,
            messages=messages,
            rows=rows,
        )
        if file is not None:
            report = replace(
                report,
                records=file.records,
                accepted=file.accepted,
                rejected=file.rejected,
                is_replay=file.file_id in self.replaces or file.file_id in self.replayed,
            )
        self.station.report.files.append(report)
        self.done += 1
        log_delivery(report)
        if self.station.progress is not None:
            self.station.progress(report, self.done, max(self.total, self.done))


def log_delivery(report: FileReport) -> None:
    """Note in the log what became of a delivery."""
    logger().info(
        "delivery",
        extra={
            "station": "ingest",
            "source": report.source,
            "feed": report.feed,
            "file": report.name,
            "status": report.status,
            "rows_in": report.records,
            "accepted": report.accepted,
            "rejected": report.rejected,
            "seconds": round(report.seconds, 3),
        },
    )


def quarantine_unread(
    workspace: Workspace,
    connection: duckdb.DuckDBPyConnection,
    reading: Reading,
    error: QuarantineError,
    now: datetime,
) -> FileReport:
    """Put aside a delivery that cannot even be read, so that no run tries it again."""
    source = next(one for one in workspace.sources() if one.source == reading.source)
    feed = next(one for one in source.feeds if one.feed == reading.feed)
    report = IngestReport()
    station = _Station(workspace, connection, workspace.temp_dir, now, report, None)
    intake = _Intake(station, source, feed)
    delivery = Delivery(station.number(), reading.name)
    if reading.content_hash is not None:
        before = intake._known().get(reading.content_hash)
        if before is not None:
            delivery = Delivery(before.file_id, reading.name)
            intake.replaces[before.file_id] = before
        intake.hashes[delivery.file_id] = (reading.content_hash, reading.bytes)
    intake._quarantine(delivery, error)
    return report.files[-1]


def mapping_hash(feed: Feed, source: Source, settings: WorkspaceSettings) -> str:
    """What stands for all that decides which rows a content gives; not where it lies."""
    described = feed.model_dump(mode="json", exclude_defaults=True, exclude=set(READS_NOTHING))
    decides = [
        described,
        list(feed.entities),
        source.time_zone or settings.time_zone,
        source.currency_code or settings.currency,
        source.country_code,
    ]
    text = json.dumps(decides, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _as_before(reason: str | None) -> str:
    return said("{reason} (as before)", reason=reason)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names[:20])


def _last_moment(connection: duckdb.DuckDBPyConnection) -> datetime:
    """Just after the last delivery: what comes later counts as later though the clock went back."""
    latest = connection.execute("select max(loaded_at) from files").fetchall()[0][0]
    return datetime.min if latest is None else latest + timedelta(microseconds=1)  # noqa: DTZ901


def _unreadable(name: str, reason: str) -> QuarantineError:
    return QuarantineError(
        "unreadable_file",
        reason,
        where=name,
        remedy=said("export or transfer it again, or correct the feed's declaration"),
    )


def _status(status: str) -> Status:
    return "empty" if status == "empty" else "loaded" if status == "loaded" else "quarantined"


def _raise_if_not_the_files(error: Exception) -> None:
    """Raise what is no fault of a file: memory, disk, an interruption, the database itself."""
    machine = (
        duckdb.OutOfMemoryException,
        duckdb.InterruptException,
        duckdb.FatalException,
        duckdb.InternalException,
        duckdb.TransactionException,
    )
    if isinstance(error, machine) or "No space left" in str(error):
        raise error
