"""What a run sets right before it begins, so that damage costs the last good copy at most.

Each repair is said: in the log as an error, and in what the run tells.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb

from cohorte.errors import CohorteError, LockedError
from cohorte.logs import logger
from cohorte.said import said
from cohorte.store.copies import copy_store, problem_of, sqlite_file
from cohorte.warehouse import (
    list_versions,
    pointed_version,
    served_version,
    set_served,
    sha256_of,
    write_atomically,
)
from cohorte.workspace import Workspace


def mend(workspace: Workspace, now: datetime) -> list[str]:
    """Set right what can be, with the workspace's lock held; what was done.

    Raises CohorteError, with the remedy, for what cannot be had again: raw and the map of ids.
    """
    told = [
        *_store(workspace, now),
        *_precious(workspace),
        *_work(workspace),
        *_served(workspace),
        *_estimators(workspace, now),
    ]
    for repair in told:
        logger().error("mended", extra={"problem": repair})
    return told


def keep_store_copy(workspace: Workspace) -> None:
    """Copy the store beside the databases, with its checksum, for ``mend`` to fall back on."""
    if sqlite_file(workspace.store_url) is None:
        return
    copy = workspace.store_copy_path
    copy_store(workspace.store_url, copy)
    write_atomically(copy.with_suffix(".sha256"), sha256_of(copy) + "\n")


def good_store_copy(workspace: Workspace) -> Path | None:
    """The last copy of the store, when it is what was written."""
    copy = workspace.store_copy_path
    try:
        written = copy.with_suffix(".sha256").read_text(encoding="utf-8").strip()
        return copy if sha256_of(copy) == written else None
    except OSError:
        return None


def _store(workspace: Workspace, now: datetime) -> list[str]:
    path = sqlite_file(workspace.store_url)
    if path is None or not path.is_file() or (problem := problem_of(path)) is None:
        return []
    copy = good_store_copy(workspace)
    if copy is None:
        raise CohorteError(
            said(
                "the store is damaged ({problem}) and there is no good copy of it", problem=problem
            ),
            where=path.name,
            remedy=said(
                "cohorte restore a backup, or move the file away to begin with an empty store"
            ),
        )
    aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S}")
    path.replace(aside)
    for name in (f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    path.write_bytes(copy.read_bytes())
    return [
        said(
            "{file} was damaged: its copy from the end of the last run is used,"
            " the damaged file is kept as {aside}",
            file=path.name,
            aside=aside.name,
        )
    ]


def _precious(workspace: Workspace) -> list[str]:
    identity = workspace.work_path.with_name("identity.duckdb")
    for path in (workspace.raw_path, identity):
        if path.is_file() and (problem := _unreadable(path)) is not None:
            raise CohorteError(
                said("the database is damaged: {problem}", problem=problem),
                where=f"warehouse/{path.name}",
                remedy=said("cohorte restore a backup; the served version stays"),
            )
    return []


def _work(workspace: Workspace) -> list[str]:
    """The build database is derived from raw, so one that is damaged just goes."""
    path = workspace.work_path
    if not path.is_file() or (problem := _unreadable(path)) is None:
        return []
    path.unlink()
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    return [said("work.duckdb was damaged ({problem}): built anew", problem=problem)]


def _unreadable(path: Path) -> str | None:
    """What DuckDB says of a file it cannot open; LockedError when another program has it."""
    try:
        with closing(duckdb.connect(str(path), read_only=not _has_log(path))) as connection:
            connection.execute("select count(*) from duckdb_tables()").fetchall()
    except duckdb.Error as error:
        problem = str(error).partition("\n")[0]
        if "lock" in problem.lower():
            raise LockedError(
                said("another program has it open: {problem}", problem=problem),
                where=f"warehouse/{path.name}",
                remedy=said("close that program and run again"),
            ) from error
        return problem
    return None


def _has_log(path: Path) -> bool:
    return path.with_name(f"{path.name}.wal").exists()


def _served(workspace: Workspace) -> list[str]:
    """Let the pointer name what is served in truth."""
    named, served = pointed_version(workspace), served_version(workspace)
    if served is None:
        if named is not None or list_versions(workspace):
            return [
                said("no published version is whole: nothing is served until this run publishes")
            ]
        return []
    if named == served.version:
        return []
    set_served(workspace, served.version)
    if named is None:
        return [said("current.json did not read: {served} is served", served=served.version)]
    return [
        said(
            "{named} is not what was published: {served} is served",
            named=named,
            served=served.version,
        )
    ]


def _estimators(workspace: Workspace, now: datetime) -> list[str]:
    """An estimator that is not what was promoted gives way to the one promoted before it."""
    from models.registry import ArtifactError, Registry

    registry = Registry(workspace.artifacts_dir)
    told: list[str] = []
    for name in registry.names():
        try:
            registry.served(name)
        except CohorteError as damage:
            versions = [
                decision.version
                for decision in reversed(registry.decisions(name))
                if decision.decision == "promoted"
            ]
            for version in dict.fromkeys(versions):
                try:
                    reason = f"the version promoted after it is damaged: {damage.message}"
                    registry.promote(name, version, reason=reason, now=now)
                except (ArtifactError, CohorteError):
                    continue
                told.append(
                    said(
                        "estimator {name}: {problem}; {version} serves again",
                        name=name,
                        problem=damage.message,
                        version=version,
                    )
                )
                break
            else:
                told.append(
                    said(
                        "estimator {name}: {problem}; it is learned anew",
                        name=name,
                        problem=damage.message,
                    )
                )
    return told
