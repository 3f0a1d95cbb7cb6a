"""Housekeeping: versions beyond those kept, raw beyond its retention, logs of the orchestration.

What is removed from raw is removed for good: the file is written anew, since the bytes of a
deleted row stay in a database file. Results of removed events go with the next run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from cohorte.contracts import contracts
from cohorte.formats import settle_format
from cohorte.logs import log_about, log_to, logger
from cohorte.segments.audience import PEOPLE_DAYS, PEOPLE_DIR
from cohorte.settings import RetentionSettings
from cohorte.warehouse import (
    connect_raw,
    connect_work,
    sync_folder,
    writer_config,
    writer_lock,
)
from cohorte.workspace import Workspace
from pipelines.publish import clear_leftovers, collect_versions
from pipelines.standing import forget_all

MOMENTS = {"web_events": "occurred_at", "email_events": "occurred_at"}
BUILD_LOG_BYTES = 10_000_000


def keep_house(workspace: Workspace, now: datetime, patience: float = 0.0) -> list[str]:
    """Remove what the workspace does not keep; what was done, a line each."""
    workspace.make_folders()
    log_to(workspace.logs_dir)
    run_id = f"housekeeping-{now:%Y%m%dT%H%M%S}"
    with log_about(run_id=run_id), writer_lock(workspace, run_id, now, patience):
        settle_format(workspace)
        clear_leftovers(workspace)
        done = [f"version {name} removed" for name in collect_versions(workspace)]
        retention = workspace.settings.retention
        done += _trim_raw(workspace, retention, now)
        done += _trim_files(workspace, retention, now)
        for line in done:
            logger().info("housekeeping", extra={"reason": line})
    return done


def _trim_raw(workspace: Workspace, retention: RetentionSettings, now: datetime) -> list[str]:
    if not workspace.raw_path.is_file():
        return []
    with closing(connect_raw(workspace)) as raw:
        removed = {
            what: int(raw.execute(statement, [limit]).fetchall()[0][0])
            for what, statement, limit in _removals(retention, now)
        }
    done = [f"raw: {count:,} {what} removed" for what, count in removed.items() if count]
    if done:
        rewrite(workspace.raw_path, workspace)
        if workspace.work_path.is_file():
            with closing(connect_work(workspace)) as work:
                forget_all(work)  # the next refresh begins it anew
    return done


def _removals(retention: RetentionSettings, now: datetime) -> Iterator[tuple[str, str, datetime]]:
    """What goes, by which statement, of before when."""

    def before(days: int) -> datetime:
        return now.astimezone(UTC).replace(tzinfo=None) - timedelta(days=days)

    if retention.rejected_rows is not None:
        yield (
            "rejected rows",
            "delete from rejected_rows where rejected_at < ?",
            before(retention.rejected_rows),
        )
    for entity, days in retention.events.items():
        statement = f"delete from {entity} where {MOMENTS[entity]} < ?"
        yield entity.replace("_", " "), statement, before(days)
    if retention.superseded is not None:
        for contract in contracts().values():
            if contract.key:
                keys = ", ".join(f'"{name}"' for name in ("_source", *contract.key))
                known = " and ".join(f'"{name}" is not null' for name in contract.key)
                statement = f"""
                    delete from "{contract.entity}" where _loaded_at < ? and rowid in (
                        select rowid from "{contract.entity}" where {known}
                        qualify row_number() over (
                            partition by {keys} order by _version desc nulls last,
                            (case when _version is null then _loaded_at end) desc, _row_hash desc
                        ) > 1
                    )"""
                what = f"replaced rows of {contract.entity.replace('_', ' ')}"
                yield what, statement, before(retention.superseded)


def rewrite(path: Path, workspace: Workspace) -> None:
    """Write a database anew, so that nothing of what was deleted is left in its file."""
    draft = path.with_name(f"{path.stem}.draft.duckdb")
    draft.unlink(missing_ok=True)
    config = writer_config(workspace.settings, workspace.temp_dir)
    config.pop("storage_compatibility_version")
    with closing(duckdb.connect(config=config)) as connection:
        old, new = (str(one).replace("'", "''") for one in (path, draft))
        connection.execute(f"attach '{old}' as old (read_only)")
        connection.execute(f"attach '{new}' as new (storage_version 'v1.5.0')")
        connection.execute("copy from database old to new")
        connection.execute("checkpoint new")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def _trim_files(workspace: Workspace, retention: RetentionSettings, now: datetime) -> list[str]:
    done = []
    if retention.exports is not None and workspace.exports_dir.is_dir():
        limit = (now - timedelta(days=retention.exports)).timestamp()
        old = [
            path
            for path in workspace.exports_dir.rglob("*")
            if path.is_file() and path.stat().st_mtime < limit
        ]
        for path in old:
            path.unlink()
        if old:
            done.append(f"exports: {len(old)} files removed")
    exported = workspace.exports_dir / PEOPLE_DIR
    if exported.is_dir():
        limit = (now - timedelta(days=PEOPLE_DAYS)).timestamp()
        old = [path for path in exported.iterdir() if path.stat().st_mtime < limit]
        for path in old:
            path.unlink()
        if old:
            done.append(f"exports: who was in {len(old)} files forgotten")
    for path in workspace.dbt_target_dir.glob("*.log*"):
        if path.stat().st_size > BUILD_LOG_BYTES or path.suffix != ".log":
            path.unlink()
            done.append(f"build log {path.name} removed")
    return done
