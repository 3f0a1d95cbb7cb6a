"""Stations extract, check and load, over every source of a workspace.

What is wrong with one delivery stops that delivery only: it is recorded as quarantined, with a
message that names file, line, column and remedy, and the others go on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import duckdb

from cohorte.contracts import contracts
from cohorte.errors import CohorteError, SettingsError
from cohorte.logs import logger
from cohorte.sources import Feed, Source
from cohorte.warehouse import RAW_DDL, connect_raw, writer_config
from cohorte.workspace import Workspace
from pipelines.check import project_feed
from pipelines.connectors import CONNECTORS
from pipelines.connectors.extract import (
    WORK_TABLES,
    Delivery,
    Extract,
    Prepared,
    QuarantineError,
)
from pipelines.connectors.inspection import content_hash
from pipelines.connectors.quoting import literal
from pipelines.load import (
    FileRow,
    first_rejects,
    load,
    load_quarantined,
    next_file_id,
    rejected_records,
    type_rows,
)

WILDCARDS = "*?["
BATCH_BYTES = 64_000_000
BATCH_FILES = 400
FILE_ERRORS = (QuarantineError, SettingsError, duckdb.Error)
Status = Literal["loaded", "empty", "quarantined", "known", "missing"]


@dataclass(frozen=True)
class FileReport:
    """What became of one delivery. Counts are records of the file.

    ``status`` is loaded, empty (a header without records), quarantined, known (the same content
    came before), or missing (no file for a pattern). ``rows`` counts rows entered by entity.
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


Progress = Callable[[FileReport, int, int], None]


def ingest(
    workspace: Workspace,
    *,
    now: datetime,
    only_sources: Iterable[str] | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Take in what is new of every source, or of those named.

    ``progress`` is called after each delivery with its report, how many are done, and how many
    there are in its feed. A dry run does everything in memory and writes nothing.
    Raises SettingsError for a source that does not read, and for a time without a zone; trouble
    with a delivery is in the report.
    """
    if now.tzinfo is None:
        raise SettingsError("the current time carries no time zone", remedy="pass an aware one")
    started = time.perf_counter()
    wanted = None if only_sources is None else set(only_sources)
    report = IngestReport(is_dry_run=dry_run)
    temp_dir = workspace.temp_dir / "ingest"
    shutil.rmtree(temp_dir, ignore_errors=True)
    temp_dir.mkdir(parents=True)
    connection = _rehearsal(workspace) if dry_run else connect_raw(workspace)
    try:
        station = _Station(workspace, connection, temp_dir, now, report, progress)
        for source in workspace.sources():
            if wanted is None or source.source in wanted:
                for feed in source.feeds:
                    _Intake(station, source, feed).take()
    finally:
        connection.close()
        shutil.rmtree(temp_dir, ignore_errors=True)
    report.seconds = time.perf_counter() - started
    return report


def _rehearsal(workspace: Workspace) -> duckdb.DuckDBPyConnection:
    """A database in memory that knows which deliveries the real one has."""
    config = writer_config(workspace.settings, workspace.temp_dir)
    config.pop("storage_compatibility_version", None)
    connection = duckdb.connect(config=config)
    connection.execute("set TimeZone = 'UTC'")
    for known in contracts().values():
        connection.execute(known.raw_ddl())
    connection.execute(RAW_DDL)
    if workspace.raw_path.is_file():
        connection.execute(f"attach {literal(str(workspace.raw_path))} as _real (read_only)")
        connection.execute("insert into files select * from _real.files")
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
        self._now = now.astimezone(UTC).replace(tzinfo=None)
        self._first_id = self._next_id = next_file_id(connection)

    def number(self) -> int:
        """A number for one more delivery."""
        self._next_id += 1
        return self._next_id - 1

    def loaded_at(self, file_id: int) -> datetime:
        """When a delivery counts as loaded: each a microsecond after the one before."""
        return self._now + timedelta(microseconds=file_id - self._first_id)


class _Intake:
    """One feed: what of it is new, and taking that in."""

    def __init__(self, station: _Station, source: Source, feed: Feed) -> None:
        self.station = station
        self.connection = station.connection
        self.source = source
        self.feed = feed
        self.connector = CONNECTORS[feed.format]
        settings = station.workspace.settings
        limit = source.reject_limit
        self.limit = settings.reject_limit if limit is None else limit
        described = f"{feed.model_dump_json()}{source.time_zone}{self.limit}"
        self.mapping = hashlib.sha256(described.encode()).hexdigest()[:12]
        self.hashes: dict[int, tuple[str, int]] = {}
        self.done = 0
        self.total = 1

    def take(self) -> None:
        """Take in the new deliveries of the feed, in the order of their names."""
        reports = self.station.report.files
        first = len(reports)
        self._take_all()
        reports[first:] = sorted(reports[first:], key=lambda report: report.name)

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
            is_full = len(group) >= BATCH_FILES or size > BATCH_BYTES
            if group and (is_full or group[0].key != prepared.key):
                self._take_group(group)
                group = []
            group.append(prepared)
        if group:
            self._take_group(group)

    def _new_deliveries(self) -> Iterator[Delivery]:
        """The feed's query, or its files whose content did not come before."""
        if self.feed.format == "database":
            yield Delivery(self.station.number(), self.feed.table or "query")
            return
        try:
            paths = self._paths()
        except CohorteError as error:
            self._tell("missing", "", messages=(str(error),))
            return
        self.total = len(paths)
        known = self._known()
        for name, path in paths:
            try:
                file_hash = content_hash(path)
            except (FileNotFoundError, PermissionError) as error:
                self._quarantine_once(name, _unreadable(name, error.strerror or "no reason given"))
                continue
            if file_hash in known:
                reason = known[file_hash]
                if reason is None:
                    self._tell("known", name)
                else:
                    self._tell("quarantined", name, messages=(f"{reason} (as before)",))
                continue
            known[file_hash] = None
            delivery = Delivery(self.station.number(), name, path)
            self.hashes[delivery.file_id] = (file_hash, path.stat().st_size)
            yield delivery

    def _prepared(self, delivery: Delivery) -> Prepared | None:
        """A delivery looked at; what is wrong with it is told, and there is none."""
        try:
            return self.connector.prepare(
                self.connection, delivery, self.feed, self.station.temp_dir
            )
        except FILE_ERRORS as error:
            self._refuse(delivery, error)
            return None

    def _take_group(self, group: Sequence[Prepared]) -> None:
        """Read deliveries together and take them in; where that fails, each by itself."""
        started = time.perf_counter()
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
        if extract.content_hash not in known:
            return False
        reason = known[extract.content_hash]
        self._tell(
            "quarantined" if reason else "known",
            delivery.name,
            messages=(f"{reason} (as before)",) if reason else (),
        )
        return True

    def _refuse(self, delivery: Delivery, error: CohorteError | duckdb.Error) -> None:
        """Record and tell what is wrong with a delivery as a whole."""
        if isinstance(error, duckdb.Error):
            _raise_if_not_the_files(error)
            reason = f"it does not read as {self.feed.format}: {str(error).partition(chr(10))[0]}"
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

    def _paths(self) -> list[tuple[str, Path]]:
        """The feed's files with their names below the folder; what is missing is reported."""
        folder = self.station.workspace.source_dir(self.source)
        if not folder.is_dir():
            raise QuarantineError(
                "missing_folder",
                f"there is no folder {folder}",
                where=f"sources/{self.source.source}.yml",
                remedy="make it, or correct folder",
            )
        found: dict[str, Path] = {}
        for pattern in self.feed.files:
            start = Path(Path(pattern).anchor) if Path(pattern).is_absolute() else folder
            matches = [
                path
                for path in start.glob(pattern.removeprefix(Path(pattern).anchor))
                if path.is_file() and not path.name.startswith((".", "~$"))
            ]
            for path in matches:
                found[Path(os.path.relpath(path, folder)).as_posix()] = path
            if not matches:
                self._report_missing(pattern, folder)
        return sorted(found.items())

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
            "no file has such a name" if is_pattern else "the file is missing",
            where=f"{folder}/{pattern}",
            remedy=f'deliver it, or correct files of feed "{self.feed.feed}"',
        )
        if is_pattern:
            self._tell("missing", pattern, messages=(str(error),))
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
            self._tell(again, name, messages=(str(error),))
        else:
            self._quarantine(Delivery(self.station.number(), name), error)

    def _known(self) -> dict[str, str | None]:
        """Contents that came before, with the reason where they are in quarantine still.

        A quarantined content counts as new once the mapping or the limit has changed.
        """
        known: dict[str, str | None] = {}
        for file_hash, status, reason, mapping in self.connection.execute(
            "select content_hash, status, reason, dialect ->> '$.mapping' from files"
            " where source = ? and feed = ? and content_hash is not null order by file_id",
            [self.source.source, self.feed.feed],
        ).fetchall():
            if status != "quarantined":
                known[file_hash] = None
            elif mapping == self.mapping:
                known[file_hash] = reason
            else:
                known.pop(file_hash, None)
        return known

    def _finish(self, deliveries: Sequence[Delivery], extract: Extract, started: float) -> None:
        """Check and load what was read."""
        settings = self.station.workspace.settings
        typed = type_rows(self.connection, project_feed(self.feed, self.source, settings, extract))
        rejected = rejected_records(self.connection)
        first = first_rejects(self.connection) if rejected else {}
        files: list[FileRow] = []
        for delivery in deliveries:
            file = self._row(delivery, extract.dialects.get(delivery.file_id, {}))
            file.records = extract.records[delivery.file_id]
            file.rejected = rejected.get(delivery.file_id, 0)
            if file.records == 0:
                file.status = "empty"
            elif file.rejected > self.limit * file.records:
                file.status = "quarantined"
                file.reason = self._over_limit(file, first[file.file_id])
                file.rejected = file.records
            file.accepted = file.records - file.rejected
            files.append(file)
        try:
            rows = load(self.connection, files, typed)
        except duckdb.Error as error:
            raise CohorteError(
                f"the raw database could not be written: {str(error).partition(chr(10))[0]}",
                where=self.station.workspace.raw_path.name,
                remedy="see that the disk has room, then run again: what came so far is whole",
            ) from error
        seconds = (time.perf_counter() - started) / len(files)
        for file in files:
            messages = list(extract.messages.get(file.file_id, []))
            if file.reason:
                messages.append(file.reason)
            elif file.rejected:
                messages.append(
                    f"{file.name}: {file.rejected:,} of {file.records:,} records rejected;"
                    f" the first: {first[file.file_id]}"
                )
            self._tell(
                _status(file.status),
                file.name,
                file=file,
                seconds=seconds,
                messages=tuple(messages),
                rows=tuple(rows.get(file.file_id, {}).items()),
            )

    def _over_limit(self, file: FileRow, first: str) -> str:
        return (
            f"{file.name}: {file.rejected:,} of {file.records:,} records rejected"
            f" ({file.rejected / file.records:.1%}), over the limit of {self.limit:.1%};"
            f" the first: {first}; correct the file or the mapping, or raise reject_limit of"
            f' source "{self.source.source}"'
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
            loaded_at=self.station.loaded_at(delivery.file_id),
            dialect=dialect | {"mapping": self.mapping},
        )

    def _quarantine(self, delivery: Delivery, error: QuarantineError) -> None:
        file = self._row(delivery, {"code": error.code})
        file.status, file.reason = "quarantined", str(error)
        load_quarantined(self.connection, file, error)
        self._tell("quarantined", delivery.name, file=file, messages=(str(error),))

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
                report, records=file.records, accepted=file.accepted, rejected=file.rejected
            )
        self.station.report.files.append(report)
        self.done += 1
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
        if self.station.progress is not None:
            self.station.progress(report, self.done, max(self.total, self.done))


def _unreadable(name: str, reason: str) -> QuarantineError:
    return QuarantineError(
        "unreadable_file",
        reason,
        where=name,
        remedy="export or transfer it again, or correct the feed's declaration",
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
