"""The databases of a workspace: who may open which, the writer's lock, the served version.

A DuckDB file takes one writing process or many reading ones, so screens never open what a run
writes: they read ``versions/<version>.duckdb``, complete and immutable, named by the pointer
``current.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from cohorte.contracts import contracts
from cohorte.errors import LockedError, NotFoundError
from cohorte.logs import logger
from cohorte.settings import WorkspaceSettings
from cohorte.workspace import Workspace

VERSION_NAME = re.compile(r"^v(\d+)$")
LOCK_PATIENCE_SECONDS = 0.5
OPENING_ATTEMPTS = 5
AT_ONCE_BYTES = 50_000_000

RAW_DDL = """
create table if not exists files (
    file_id integer, source varchar, feed varchar, name varchar, content_hash varchar,
    bytes bigint, records bigint, accepted bigint, rejected bigint, status varchar,
    reason varchar, dialect varchar, loaded_at timestamp
);
create table if not exists rejected_rows (
    file_id integer, source varchar, feed varchar, entity varchar, line bigint,
    column_name varchar, reason varchar, value varchar, row_text varchar, rejected_at timestamp
);
create table if not exists column_counts (
    file_id integer, entity varchar, column_name varchar, rows_count bigint, filled_count bigint
);
create table if not exists entity_counts (
    file_id integer, entity varchar, rows_count bigint, repeated_count bigint
);
create table if not exists again_counts (
    file_id integer, entity varchar, same_count bigint, changed_count bigint
);
create table if not exists snapshots (
    file_id integer, source varchar, feed varchar, entity varchar, shown_at timestamp
);
create table if not exists address_verdicts (
    address_hash varchar, verdict varchar, reason varchar, service varchar, checked_at timestamp
);
"""


_locking = threading.Lock()


class TableInfo(BaseModel):
    """Rows of one published table, and a hash of them that does not depend on their order."""

    rows: int
    hash: str


class RawNote(BaseModel):
    """What raw held: its newest file, and a digest of all rows of the files up to that one."""

    newest_file: int
    digest: str


class VersionInfo(BaseModel):
    """What is known of a published version without opening it.

    The last four say whether and how the next version can begin as a copy: what code wrote it,
    from what, how many rows of a table were written since it was written whole, and what the
    facts of KPIs were made of.
    """

    version: str
    run_id: str
    as_of: date
    published_at: datetime
    sha256: str
    bytes: int
    tables: dict[str, TableInfo]
    key_figures: dict[str, str]
    written_by: str = ""
    raw: RawNote | None = None
    replaced_rows: dict[str, int] = {}
    facts: dict[str, str] = {}

    @property
    def number(self) -> int:
        return version_number(self.version)


def version_number(version: str) -> int:
    """7 for "v7"; NotFoundError for a name no version has."""
    match = VERSION_NAME.match(version)
    if not match:
        raise NotFoundError(f'"{version}" is no name of a version', remedy="see cohorte versions")
    return int(match.group(1))


def connect_writer(
    path: Path, settings: WorkspaceSettings, temp_dir: Path
) -> duckdb.DuckDBPyConnection:
    """A writing connection with the workspace's bounds; it spills to ``temp_dir``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp_dir.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(str(path), config=writer_config(settings, temp_dir))
    connection.execute("set TimeZone = 'UTC'")
    return connection


def writer_config(settings: WorkspaceSettings, temp_dir: Path) -> dict[str, Any]:
    """DuckDB's settings for any writing connection of a workspace."""
    return {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "temp_directory": str(temp_dir),
        "autoinstall_known_extensions": False,
        "storage_compatibility_version": "v1.5.0",
    }


def connect_reader(path: Path, threads: int = 2) -> duckdb.DuckDBPyConnection:
    """A connection that can read its file and nothing else on the machine."""
    if not path.is_file():
        raise NotFoundError("the database is not there", where=path.name, remedy="cohorte run")
    connection = duckdb.connect(
        str(path),
        read_only=True,
        config={
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "threads": threads,
        },
    )
    # One process shares one database between its connections, so the first locks it for all.
    with _locking:
        locked = connection.execute("select current_setting('lock_configuration')").fetchall()
        if not locked[0][0]:
            connection.execute("set global TimeZone = 'UTC'")
            connection.execute("set global lock_configuration = true")
    return connection


def connect_raw(workspace: Workspace) -> duckdb.DuckDBPyConnection:
    """The raw database to write to, with every table there."""
    connection = connect_writer(workspace.raw_path, workspace.settings, workspace.temp_dir)
    for contract in contracts().values():
        connection.execute(contract.raw_ddl())
    for statement in _columns_missing(connection):
        connection.execute(statement)
    connection.execute(RAW_DDL)
    return connection


def _columns_missing(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What gives the tables of an older release the columns that contracts gained since."""
    found = {
        (table, column)
        for table, column in connection.execute(
            "select table_name, column_name from duckdb_columns()"
            " where database_name = current_database()"
        ).fetchall()
    }
    return [
        f'alter table "{contract.entity}" add column "{column.name}" {column.duckdb_type}'
        for contract in contracts().values()
        for column in contract.columns
        if (contract.entity, column.name) not in found
    ]


def connect_work(workspace: Workspace, path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """The work database to write to, or a copy of it, with raw attached read-only as ``raw``."""
    path = path or workspace.work_path
    connection = connect_writer(path, workspace.settings, workspace.temp_dir)
    connection.execute(f"attach '{_quoted(workspace.raw_path)}' as raw (read_only)")
    for schema in ("identity", "scores", "segments"):
        connection.execute(f"create schema if not exists {schema}")
    return connection


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """What the block writes is there as a whole, or not at all when it raises."""
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


@contextmanager
def writer_lock(
    workspace: Workspace, run_id: str, now: datetime, patience: float = 0.0
) -> Iterator[None]:
    """Hold the workspace for one run; LockedError naming the holder when another has it still
    after ``patience`` seconds.

    The lock is the operating system's: it ends with the process, however that ends.
    """
    workspace.lock_path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.lock_path)
    holder_path = workspace.lock_path.with_suffix(".json")
    try:
        lock.acquire(timeout=max(patience, LOCK_PATIENCE_SECONDS))
    except Timeout:
        raise LockedError(
            f"another run has the workspace: {_holder(holder_path)}",
            where=str(workspace.root),
            remedy="wait for it to end, or stop that process",
        ) from None
    try:
        holder = {
            "run_id": run_id,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": now.isoformat(timespec="seconds"),
        }
        write_atomically(holder_path, json.dumps(holder))
        yield
    finally:
        holder_path.unlink(missing_ok=True)
        lock.release()


def holder_of(workspace: Workspace) -> str | None:
    """The run that has the workspace now; none when it is free."""
    if not workspace.lock_path.exists():
        return None
    lock = FileLock(workspace.lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            note = workspace.lock_path.with_suffix(".json").read_text(encoding="utf-8")
            return str(json.loads(note)["run_id"])
        except (OSError, ValueError, KeyError):
            return ""
    lock.release()
    return None


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return (
            f"run {holder['run_id']}, process {holder['pid']} on {holder['host']},"
            f" since {holder['since']}"
        )
    except (OSError, ValueError, KeyError):
        return "its name is not known"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content so that a reader, or a crash, sees the old or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder last through a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def version_path(workspace: Workspace, version: str) -> Path:
    """The database of a version; NotFoundError for a name no version can have."""
    version_number(version)
    return workspace.versions_dir / f"{version}.duckdb"


def list_versions(workspace: Workspace) -> list[VersionInfo]:
    """The versions kept, newest first; one whose description does not read is left out."""
    found = []
    for path in workspace.versions_dir.glob("v*.json"):
        info = _read_info(path)
        if info is not None and version_path(workspace, info.version).is_file():
            found.append(info)
    return sorted(found, key=lambda info: info.number, reverse=True)


def _read_info(path: Path) -> VersionInfo | None:
    try:
        return VersionInfo.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        logger().warning("version description unreadable", extra={"file": path.name})
        return None


def version_info(workspace: Workspace, version: str) -> VersionInfo:
    """One version kept; NotFoundError when it is not."""
    version_number(version)
    for info in list_versions(workspace):
        if info.version == version:
            return info
    raise NotFoundError(f"version {version} is not kept", remedy="see cohorte versions")


def served_version(workspace: Workspace) -> VersionInfo | None:
    """The version that screens show; none before the first publication.

    When the pointer does not read, or the version it names is not what was published, the newest
    whole version before it is served instead, else the newest of all; and the log says so.
    """
    named = pointed_version(workspace)
    kept = list_versions(workspace)
    last = version_number(named) if named else kept[0].number if kept else 0
    for info in sorted(kept, key=lambda info: (info.number <= last, info.number), reverse=True):
        if is_whole(workspace, info):
            if named not in (None, info.version):
                _say_once(f"{named} is not what was published; serving {info.version} instead")
            return info
    return None


def pointed_version(workspace: Workspace) -> str | None:
    """The version that the pointer names, there or not; none when it does not read."""
    try:
        named = str(json.loads(workspace.pointer_path.read_text(encoding="utf-8"))["version"])
        version_number(named)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, NotFoundError):
        _say_once("current.json does not read; serving the newest version kept")
        return None
    return named


@cache
def _say_once(message: str) -> None:
    """An error in the log, once a process: pointers are read at every look at a screen."""
    logger().error(message)


_whole: dict[tuple[str, int, int, int], str] = {}
"""Files hashed by this process, so that each is read once as long as it is not touched."""
_hashing = threading.Lock()
_shown: dict[Path, VersionInfo] = {}
_checking: dict[Path, threading.Thread] = {}


def shown_version(workspace: Workspace) -> VersionInfo | None:
    """The version that a server shows: as `served_version`, without waiting for a new one.

    Reading a file of gigabytes through takes seconds. Those who look at the version before go on
    with it until the new one is found whole; only the first version of a process is waited for.
    """
    shown = _shown.get(workspace.root)
    named = pointed_version(workspace)
    if shown is None or named in (None, shown.version) or _reads_at_once(workspace, str(named)):
        return _show(workspace)
    thread = _checking.get(workspace.root)
    if thread is None or not thread.is_alive():
        thread = threading.Thread(target=_show, args=(workspace,), daemon=True)
        _checking[workspace.root] = thread
        thread.start()
    return shown if version_path(workspace, shown.version).is_file() else _show(workspace)


def _reads_at_once(workspace: Workspace, version: str) -> bool:
    try:
        key = _file_key(version_path(workspace, version))
    except OSError:
        return True
    return key in _whole or key[2] < AT_ONCE_BYTES


def _file_key(path: Path) -> tuple[str, int, int, int]:
    stat = path.stat()
    return str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns


def _show(workspace: Workspace) -> VersionInfo | None:
    info = served_version(workspace)
    if info is not None:
        _shown[workspace.root] = info
    return info


def is_whole(workspace: Workspace, info: VersionInfo) -> bool:
    """Whether a version's file is what was published, by its checksum."""
    path = version_path(workspace, info.version)
    try:
        key = _file_key(path)
        if key not in _whole:
            with _hashing:
                if key not in _whole:
                    _whole[key] = sha256_of(path)
        return _whole[key] == info.sha256
    except OSError:
        return False


def set_served(workspace: Workspace, version: str) -> VersionInfo:
    """Point at a version kept, after checking that its file is whole.

    Raises NotFoundError when the version is not kept or its file is not what was published.
    """
    info = version_info(workspace, version)
    if not is_whole(workspace, info):
        raise NotFoundError(
            f"the file of version {version} is not what was published",
            where=f"{version}.duckdb",
            remedy="choose another version",
        )
    pointer = {"version": version, "sha256": info.sha256}
    write_atomically(workspace.pointer_path, json.dumps(pointer, indent=2) + "\n")
    return info


def open_served(workspace: Workspace) -> tuple[VersionInfo, duckdb.DuckDBPyConnection]:
    """The served version and a sandboxed connection to it; NotFoundError before the first.

    A version may be collected between the look at the pointer and the opening, so the look is
    repeated.
    """
    for attempt in range(OPENING_ATTEMPTS):
        info = served_version(workspace)
        if info is None:
            raise NotFoundError(
                "nothing is published yet", where=str(workspace.root), remedy="cohorte run"
            )
        try:
            path = version_path(workspace, info.version)
            return info, connect_reader(path, workspace.settings.threads)
        except (NotFoundError, duckdb.IOException):
            if attempt == OPENING_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")
