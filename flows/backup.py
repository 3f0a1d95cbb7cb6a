"""A workspace in one file, and back: what cannot be had again, each part with its checksum.

In it: settings, sources, segments and other files kept as text, the store, raw, the map of ids,
history, versions, artifacts. Not in it: the build database, which a run makes again; the inbox
and what sources read, which are the company's; logs, exports, secrets of the environment.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

import duckdb

from cohorte import __version__
from cohorte.errors import CohorteError, NotFoundError, SettingsError
from cohorte.formats import FORMAT, format_path, settle_format
from cohorte.store.copies import copy_store, load_store, sqlite_file
from cohorte.warehouse import sync_folder, writer_lock
from cohorte.workspace import SETTINGS_FILE, Workspace

MANIFEST = "manifest.json"
STORE = "store.db"
LEFT_OUT = {"inbox", "exports", "logs", ".prefect", "warehouse", "artifacts"}
DATABASES = ("raw.duckdb", "identity.duckdb", "history.duckdb")
COMPRESSION = 1


def back_up(workspace: Workspace, target: Path, now: datetime) -> dict[str, Any]:
    """Write the workspace to ``target``, complete or not at all; the manifest.

    Holds the workspace, so that no run changes it meanwhile. Raises SettingsError when ``target``
    is there already.
    """
    if target.exists():
        raise SettingsError("there is a file already", where=str(target), remedy="name another")
    target.parent.mkdir(parents=True, exist_ok=True)
    workspace.make_folders()
    with (
        writer_lock(workspace, "backup", now),
        tempfile.TemporaryDirectory(dir=workspace.temp_dir) as scratch,
    ):
        settle_format(workspace)
        for name in DATABASES:
            _settle(workspace.root / "warehouse" / name)
        store = Path(scratch) / STORE
        copy_store(workspace.store_url, store)
        parts = dict(_parts(workspace)) | {STORE: store}
        manifest = {
            "made_by": __version__,
            "format": FORMAT,
            "made_at": now.isoformat(timespec="seconds"),
            "company": workspace.settings.company,
            "parts": {name: _described(path) for name, path in parts.items()},
        }
        draft = target.with_name(f".{target.name}.draft")
        try:
            _write(draft, manifest, parts)
            draft.replace(target)
            sync_folder(target.parent)
        finally:
            draft.unlink(missing_ok=True)
    return manifest


def restore(source: Path, root: Path) -> Workspace:
    """Make the workspace of a backup in ``root``, which must be empty or absent.

    Every part is checked before the first is put in place; a backup that is damaged leaves
    nothing. Raises NotFoundError without a backup, SettingsError when ``root`` holds something
    or a newer Cohorte made the backup, CohorteError when a part is not what was backed up.
    """
    if not source.is_file():
        raise NotFoundError("there is no such backup", where=str(source))
    root = root.resolve()
    if root.exists() and any(root.iterdir()):
        raise SettingsError("the folder is not empty", where=str(root), remedy="name another")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as scratch:
        draft = Path(scratch) / "workspace"
        _unpack(source, draft)
        store = draft / STORE
        aside = Path(scratch) / STORE
        store.replace(aside)
        if root.exists():
            root.rmdir()
        load_store(aside, Workspace(draft).store_url)
        draft.replace(root)
    sync_folder(root.parent)
    return Workspace(root)


def _parts(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    """The files to keep, by their name in the backup."""
    root = workspace.root
    store = sqlite_file(workspace.store_url)
    for path in sorted(root.iterdir()):
        is_store = store is not None and path.name.startswith(store.name)
        if path.name in LEFT_OUT or path.name.startswith(".") or is_store:
            continue
        yield from _files(root, path)
    for name in DATABASES:
        yield from _files(root, root / "warehouse" / name)
    yield from _files(root, format_path(workspace))
    yield from _files(root, workspace.pointer_path)
    yield from _files(root, workspace.versions_dir)
    yield from _files(root, workspace.artifacts_dir)


def _files(root: Path, path: Path) -> Iterator[tuple[str, Path]]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in found:
        if file.is_file() and not file.is_symlink():
            yield file.relative_to(root).as_posix(), file


def _settle(path: Path) -> None:
    """Bring what a write-ahead log holds into its database."""
    if path.with_name(f"{path.name}.wal").exists():
        with closing(duckdb.connect(str(path))) as connection:
            connection.execute("checkpoint")


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            "bytes": path.stat().st_size,
        }


def _write(draft: Path, manifest: dict[str, Any], parts: dict[str, Path]) -> None:
    with draft.open("wb") as file:
        with (
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            told = json.dumps(manifest, indent=2).encode()
            first = tarfile.TarInfo(MANIFEST)
            first.size = len(told)
            archive.addfile(first, io.BytesIO(told))
            for name, path in parts.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = path.stat().st_size, 0o600
                with path.open("rb") as content:
                    archive.addfile(member, content)
        file.flush()
        os.fsync(file.fileno())


def _unpack(source: Path, root: Path) -> None:
    """Unpack a backup, each part checked as it is written."""
    try:
        with gzip.open(source, "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            manifest = _manifest(archive, source)
            missing = dict(manifest["parts"])
            while (member := archive.next()) is not None:
                described = missing.pop(member.name, None)
                content = archive.extractfile(member)
                if described is None or content is None or not _is_inside(member.name):
                    raise _damaged(source, f"it holds {member.name}, which it does not declare")
                if _extract(content, root / member.name) != described["sha256"]:
                    raise _damaged(source, f"{member.name} is not what was backed up")
    except (OSError, EOFError, tarfile.TarError, ValueError, KeyError) as error:
        raise _damaged(source, f"it does not read ({type(error).__name__})") from error
    if missing:
        raise _damaged(source, f"{', '.join(sorted(missing)[:3])} is missing")
    if not (root / SETTINGS_FILE).is_file() or not (root / STORE).is_file():
        raise _damaged(source, "it is no backup of a workspace")


def _manifest(archive: tarfile.TarFile, source: Path) -> dict[str, Any]:
    first = archive.next()
    content = archive.extractfile(first) if first and first.name == MANIFEST else None
    if content is None:
        raise _damaged(source, "it is no backup of a workspace")
    manifest: dict[str, Any] = json.loads(content.read())
    if manifest["format"] > FORMAT:
        raise SettingsError(
            f"a newer Cohorte made the backup ({manifest['made_by']}; this one is {__version__})",
            where=str(source),
            remedy="upgrade Cohorte",
        )
    return manifest


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _extract(content: IO[bytes], target: Path) -> str:
    """Write a part; its checksum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(source: Path, what: str) -> CohorteError:
    return CohorteError(
        f"the backup is damaged: {what}", where=str(source), remedy="use another backup"
    )
