"""What could stop a run or a screen, each with its remedy."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from cohorte.errors import CohorteError
from cohorte.formats import FORMAT, found_format
from cohorte.paths import dbt_dir
from cohorte.store import open_store
from cohorte.store.copies import problem_of, sqlite_file
from cohorte.warehouse import connect_reader, list_versions, pointed_version, served_version
from cohorte.workspace import Workspace
from flows.mend import good_store_copy

SPARE_BYTES = 2 * 1024**3
NEEDED = ("duckdb", "dbt-core", "dbt-duckdb", "polars", "scikit-learn", "streamlit", "prefect")


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    check: str
    status: Literal["ok", "warning", "problem"]
    detail: str
    remedy: str = ""


def examine(workspace: Workspace | None) -> list[Finding]:
    """The machine, and the workspace when there is one."""
    findings = [*_machine()]
    if workspace is None:
        remedy = "pass -w FOLDER or make one with cohorte init"
        return [*findings, Finding("workspace", "warning", "none found here", remedy)]
    for check, look in _workspace_checks(workspace):
        try:
            findings.append(look())
        except CohorteError as error:
            findings.append(
                Finding(check, "problem", f"{error.where} {error.message}".strip(), error.remedy)
            )
    return findings


def _machine() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Finding(
        "python",
        "ok" if fits else "problem",
        version,
        "" if fits else "use Python 3.11, 3.12 or 3.13",
    )
    for package in NEEDED:
        try:
            yield Finding(package, "ok", metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Finding(package, "problem", "not installed", "make setup")
    project = dbt_dir() / "dbt_project.yml"
    yield Finding(
        "dbt project",
        "ok" if project.is_file() else "problem",
        "found" if project.is_file() else f"{project.name} is missing",
        "" if project.is_file() else "install Cohorte again",
    )


def _workspace_checks(workspace: Workspace) -> list[tuple[str, Callable[[], Finding]]]:
    return [
        ("settings", lambda: _settings(workspace)),
        ("sources", lambda: _sources(workspace)),
        ("disk", lambda: _disk(workspace)),
        ("format", lambda: _format(workspace)),
        ("store", lambda: _store(workspace)),
        ("problems", lambda: _problems(workspace)),
        ("raw database", lambda: _raw(workspace)),
        ("map of ids", lambda: _map(workspace)),
        ("served version", lambda: _served(workspace)),
    ]


def _settings(workspace: Workspace) -> Finding:
    settings = workspace.settings
    return Finding(
        "settings", "ok", f"{settings.company}, {settings.currency}, {settings.time_zone}"
    )


def _sources(workspace: Workspace) -> Finding:
    sources = workspace.sources()
    if not sources:
        remedy = "write sources/<name>.yml; the one of the blank template is commented"
        return Finding("sources", "warning", "none declared", remedy)
    empty = []
    for source in sources:
        folder = workspace.source_dir(source)
        empty += [
            f"{source.source}.{feed.feed}"
            for feed in source.feeds
            if feed.format != "database"
            and not any(next(folder.glob(pattern), None) for pattern in feed.files)
        ]
    if empty:
        remedy = "bring the files, or correct folder and files in the source's YAML"
        return Finding("sources", "warning", f"no file for {', '.join(empty)}", remedy)
    return Finding("sources", "ok", ", ".join(source.source for source in sources))


def _disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.root).free
    enough = free >= SPARE_BYTES
    return Finding(
        "disk",
        "ok" if enough else "warning",
        f"{free / 1024**3:.1f} GB free",
        "" if enough else "make room: a run needs about three times the size of the sources",
    )


def _format(workspace: Workspace) -> Finding:
    found = found_format(workspace)
    detail = f"{found}" if found == FORMAT else f"{found}, upgraded to {FORMAT} by the next run"
    return Finding("format", "ok", detail)


def _store(workspace: Workspace) -> Finding:
    path = sqlite_file(workspace.store_url)
    problem = problem_of(path) if path is not None and path.is_file() else None
    if problem is not None:
        copy = good_store_copy(workspace)
        remedy = "cohorte run uses its last copy" if copy else "cohorte restore a backup"
        return Finding("store", "problem", f"damaged: {problem}", remedy)
    with open_store(workspace.store_url) as store:
        return Finding("store", "ok", f"{len(store.list_runs())} runs recorded")


def _problems(workspace: Workspace) -> Finding:
    with open_store(workspace.store_url) as store:
        found = [alert.problem for alert in store.list_alerts(only_open=True)]
    if not found:
        return Finding("problems", "ok", "none open")
    return Finding("problems", "warning", ", ".join(found), "cohorte alerts")


def _raw(workspace: Workspace) -> Finding:
    if not workspace.raw_path.is_file():
        return Finding("raw database", "warning", "not there yet", "cohorte run")
    return _readable("raw database", workspace.raw_path, "select count(*) from files", "files")


def _map(workspace: Workspace) -> Finding:
    path = workspace.work_path.with_name("identity.duckdb")
    if not path.is_file():
        return Finding("map of ids", "warning", "not there yet", "cohorte run")
    query = "select count(*) from duckdb_tables()"
    return _readable("map of ids", path, query, "tables")


def _readable(check: str, path: Path, query: str, things: str) -> Finding:
    try:
        with closing(connect_reader(path)) as connection:
            count = connection.execute(query).fetchall()[0][0]
    except Exception as error:
        first = str(error).splitlines()[0]
        if "lock" in first.lower():
            return Finding(check, "warning", "a run is writing to it", "wait for the run to end")
        return Finding(check, "problem", first, "restore it from a backup")
    return Finding(check, "ok", f"{count} {things}")


def _served(workspace: Workspace) -> Finding:
    info, named = served_version(workspace), pointed_version(workspace)
    if info is None:
        if list_versions(workspace):
            return Finding("served version", "problem", "no version is whole", "cohorte run")
        return Finding("served version", "warning", "nothing published yet", "cohorte run")
    if named != info.version:
        detail = f"{named or 'current.json'} is damaged; {info.version} is served instead"
        return Finding("served version", "problem", detail, "cohorte run publishes a whole one")
    return Finding("served version", "ok", f"{info.version}, as of {info.as_of}")
