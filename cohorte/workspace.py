"""A workspace: one company's folder, and where its parts lie."""

from __future__ import annotations

import os
import re
import shutil
from functools import cached_property
from pathlib import Path

from cohorte.errors import NotFoundError, SettingsError
from cohorte.paths import templates_dir
from cohorte.settings import WorkspaceSettings
from cohorte.sources import Source, read_sources
from cohorte.yamlfile import read_yaml, resolve_environment

SETTINGS_FILE = "cohorte.yml"
ENVIRONMENT_VARIABLE = "COHORTE_WORKSPACE"


class Workspace:
    """The folder of one company; every path of the product is asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @cached_property
    def settings(self) -> WorkspaceSettings:
        return read_yaml(self.root / SETTINGS_FILE, WorkspaceSettings)

    def sources(self) -> list[Source]:
        return read_sources(self.root / "sources")

    @property
    def raw_path(self) -> Path:
        return self.root / "warehouse" / "raw.duckdb"

    @property
    def work_path(self) -> Path:
        return self.root / "warehouse" / "work.duckdb"

    @property
    def versions_dir(self) -> Path:
        return self.root / "warehouse" / "versions"

    @property
    def build_dir(self) -> Path:
        return self.root / "warehouse" / "build"

    @property
    def temp_dir(self) -> Path:
        return self.root / "warehouse" / "temp"

    @property
    def pointer_path(self) -> Path:
        return self.root / "warehouse" / "current.json"

    @property
    def lock_path(self) -> Path:
        return self.root / "warehouse" / "writer.lock"

    @property
    def artifacts_dir(self) -> Path:
        return self.root / "artifacts"

    @property
    def store_copy_path(self) -> Path:
        return self.root / "warehouse" / "store-copy.db"

    @property
    def exports_dir(self) -> Path:
        return self.root / "exports"

    @property
    def segments_dir(self) -> Path:
        return self.root / "segments"

    @property
    def logs_dir(self) -> Path:
        return self.root / "logs"

    @property
    def dbt_target_dir(self) -> Path:
        return self.root / "warehouse" / "dbt"

    @property
    def store_url(self) -> str:
        """SQLAlchemy's URL of the application store."""
        declared = self.settings.store_url
        if declared is None:
            return f"sqlite:///{self.root / 'store.db'}"
        return resolve_environment(declared, f"{self.root / SETTINGS_FILE} key store_url")

    @property
    def inbox_dir(self) -> Path:
        return self._folder(self.settings.inbox, f"{SETTINGS_FILE} key inbox")

    def source_dir(self, source: Source) -> Path:
        """Where a source's files are: its own folder, else the inbox."""
        if source.folder is None:
            return self.inbox_dir
        return self._folder(source.folder, f"sources/{source.source}.yml key folder")

    def _folder(self, declared: str, where: str) -> Path:
        return self.root / Path(resolve_environment(declared, where)).expanduser()

    def make_folders(self) -> None:
        """Make the folders that the product writes to; safe to repeat."""
        for folder in (
            self.versions_dir,
            self.build_dir,
            self.temp_dir,
            self.artifacts_dir,
            self.exports_dir,
            self.logs_dir,
        ):
            folder.mkdir(parents=True, exist_ok=True)


def open_workspace(asked: Path | str | None = None) -> Workspace:
    """The workspace asked for, else ``$COHORTE_WORKSPACE``, else the current folder.

    Raises NotFoundError when that folder holds no ``cohorte.yml``.
    """
    root = Path(asked or os.environ.get(ENVIRONMENT_VARIABLE) or Path.cwd())
    if not (root / SETTINGS_FILE).is_file():
        raise NotFoundError(
            f"no workspace: there is no {SETTINGS_FILE}",
            where=str(root),
            remedy=f"pass -w FOLDER, set {ENVIRONMENT_VARIABLE}, or make one with cohorte init",
        )
    return Workspace(root)


def templates() -> list[str]:
    """The names of the templates a workspace can be made from."""
    return sorted(path.name for path in templates_dir().iterdir() if path.is_dir())


def make_workspace(root: Path, template: str, source_dir: Path | None = None) -> Workspace:
    """A new workspace from a template; files that are there already are left as they are.

    ``{source_dir}`` in the template's sources becomes ``source_dir``, absolute. Raises
    NotFoundError for an unknown template, SettingsError when the template needs a source
    folder and none that exists was given.
    """
    if template not in templates():
        raise NotFoundError(
            f'there is no template "{template}"', remedy=f"choose of {', '.join(templates())}"
        )
    origin = templates_dir() / template
    for path in sorted(origin.rglob("*")):
        if not path.is_file():
            continue
        target = root / path.relative_to(origin)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".yml" and "{source_dir}" in (text := path.read_text(encoding="utf-8")):
            target.write_text(_with_source_dir(text, template, source_dir), encoding="utf-8")
        else:
            shutil.copyfile(path, target)
    workspace = Workspace(root)
    workspace.make_folders()
    workspace.segments_dir.mkdir(exist_ok=True)
    (workspace.root / "sources").mkdir(exist_ok=True)
    if workspace.settings.inbox == "inbox":
        workspace.inbox_dir.mkdir(exist_ok=True)
    return workspace


def _with_source_dir(text: str, template: str, source_dir: Path | None) -> str:
    if source_dir is None or not source_dir.is_dir():
        missing = f"{source_dir} is no folder" if source_dir else "no source folder was given"
        raise SettingsError(
            f'the template "{template}" reads a company\'s files and {missing}',
            remedy="pass --source-dir FOLDER",
        )
    quoted = str(source_dir.resolve()).replace('"', '\\"')
    return re.sub(r'"?\{source_dir\}"?', lambda _: f'"{quoted}"', text)
