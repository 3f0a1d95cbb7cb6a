"""Fitted estimators at rest: one folder per version, checked whenever it is opened.

``artifacts/<name>/<version>/`` holds ``estimator.skops``, ``metadata.json``, ``evaluation.json``
and the model card in French and English, as Markdown and as a page. ``served.json`` beside them
names the version that serves, with the digest of its ``metadata.json``, which in turn holds the
digests of the other files; ``decisions.jsonl`` beside it says what was promoted, kept back or
retired, when and why. Nothing is unpickled: skops rebuilds only the types that the caller lists.

A version is written beside its place and moved there whole, the pointer is replaced in one step:
a crash leaves what was served before.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from cohorte.errors import CohorteError, NotFoundError
from cohorte.warehouse import sha256_of, sync_folder, write_atomically
from models.challenge import Reason

__all__ = ["Artifact", "ArtifactError", "Decision", "Registry", "library_versions"]

Opened = TypeVar("Opened")

ESTIMATOR_FILE = "estimator.skops"
METADATA_FILE = "metadata.json"
EVALUATION_FILE = "evaluation.json"
POINTER_FILE = "served.json"
DECISIONS_FILE = "decisions.jsonl"
PAGE = """<!doctype html>
<html lang="{language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem;
       margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ border-bottom: 1px solid #8886; padding: .3rem .7rem; text-align: left; }}
</style>
{body}</html>
"""
NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
VERSION = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


class ArtifactError(CohorteError):
    """A fitted estimator is not what was saved, or holds what nobody trusts."""

    exit_code = 7


@dataclass(frozen=True)
class Artifact:
    """One version of a fitted estimator, its files checked."""

    name: str
    version: str
    folder: Path
    metadata: dict[str, Any]

    @property
    def evaluation(self) -> dict[str, Any]:
        """How well the version did, as measured before it was saved."""
        return _read_json(self.folder / EVALUATION_FILE)

    @property
    def facts(self) -> dict[str, Any]:
        """Metadata, with the evaluation under ``evaluation``."""
        return {**self.metadata, "evaluation": self.evaluation}

    def card(self, language: str) -> str:
        """The model card in Markdown, ``fr`` or ``en``."""
        return (self.folder / _card_file(language)).read_text(encoding="utf-8")

    def estimator(self, trusted: Sequence[str]) -> Any:
        """Rebuild the estimator from the types named in ``trusted`` and skops's own.

        Raises ArtifactError when the file holds any other type.
        """
        from skops import io

        path = self.folder / ESTIMATOR_FILE
        foreign = sorted(set(io.get_untrusted_types(file=path)) - set(trusted))
        if foreign:
            raise ArtifactError(
                f"the file holds types that are not trusted: {', '.join(foreign)}",
                where=str(path),
                remedy="remove the version and train again",
            )
        return io.load(path, trusted=list(trusted))


@dataclass(frozen=True)
class Decision:
    """What was decided about a version, and why: in English, and as a code with its values."""

    at: str
    decision: Literal["promoted", "kept_back", "retired"]
    version: str
    reason: str
    code: str = "stated"
    values: Mapping[str, Any] = field(default_factory=dict)

    def why(self, language: str) -> str:
        """The reason in words, ``fr`` or ``en``; what a person stated reads as it was."""
        return (
            self.reason
            if self.code == "stated"
            else Reason(self.code, self.values).sentence(language)
        )


class Registry:
    """The versions of a workspace's estimators.

    Parameters
    ----------
    root
        The workspace's folder of artifacts; made on the first ``save``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(
        self,
        name: str,
        version: str,
        estimator: Any,
        *,
        metadata: Mapping[str, Any],
        evaluation: Mapping[str, Any],
        cards: Mapping[str, str],
    ) -> Artifact:
        """Keep a fitted estimator; a version already there, whole, is left as it is.

        ``cards`` maps a language to Markdown. The version must be named after its content.
        """
        from skops import io

        target = self._folder(name, version)
        if target.is_dir():
            try:
                return self.load(name, version)
            except ArtifactError:
                shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob(".build-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        build = Path(tempfile.mkdtemp(prefix=".build-", dir=target.parent))
        try:
            io.dump(estimator, build / ESTIMATOR_FILE)
            (build / EVALUATION_FILE).write_text(_json(evaluation), encoding="utf-8")
            for language, text in cards.items():
                (build / _card_file(language)).write_text(text, encoding="utf-8")
                page = _page(text, language)
                (build / _card_file(language, "html")).write_text(page, encoding="utf-8")
            files = {path.name: sha256_of(path) for path in sorted(build.iterdir())}
            described = {**metadata, "name": name, "version": version, "files": files}
            (build / METADATA_FILE).write_text(_json(described), encoding="utf-8")
            for path in build.iterdir():
                _sync_file(path)
            build.replace(target)
            sync_folder(target.parent)
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            raise
        return self.load(name, version)

    def keep(
        self,
        name: str,
        method: str,
        estimator: Any,
        *,
        content: Mapping[str, Any],
        evaluation: Mapping[str, Any],
        card: Callable[[Mapping[str, Any], str], str],
        now: datetime,
        tables: Any = None,
    ) -> Artifact:
        """Save a fitted estimator under a version named after its method and content.

        The same content, evaluation and ``tables`` (what the estimator learned, where the content
        does not say it) have the same version, whenever they were learned. ``card`` writes the
        model card from the facts, ``fr`` or ``en``.
        """
        told = json.dumps([content, tables, evaluation], sort_keys=True)
        digest = hashlib.sha256(told.encode()).hexdigest()
        version = f"{method}-{digest[:12]}".replace("_", "-")
        facts = {**content, "version": version, "evaluation": evaluation}
        return self.save(
            name,
            version,
            estimator,
            metadata={
                **content,
                "libraries": library_versions(),
                "trained_at": now.isoformat(timespec="seconds"),
            },
            evaluation=evaluation,
            cards={language: card(facts, language) for language in ("fr", "en")},
        )

    def load(self, name: str, version: str) -> Artifact:
        """Open a version after checking each of its files against its digest.

        Raises NotFoundError when there is none, ArtifactError when a file is missing or altered.
        """
        folder = self._folder(name, version)
        if not folder.is_dir():
            raise NotFoundError(f'estimator "{name}" has no version "{version}"', remedy="train it")
        metadata = _read_json(folder / METADATA_FILE)
        files = metadata.get("files")
        if not isinstance(files, dict) or not {ESTIMATOR_FILE, EVALUATION_FILE} <= set(files):
            raise _damaged(folder / METADATA_FILE, "does not list the version's files")
        for file, digest in files.items():
            path = folder / Path(str(file)).name
            if not path.is_file() or sha256_of(path) != digest:
                raise _damaged(path, "is missing or was altered after it was saved")
        return Artifact(name, version, folder, metadata)

    def versions(self, name: str) -> list[str]:
        """Versions kept, by name; whether they are whole is checked by ``load``."""
        if not NAME.match(name):
            raise NotFoundError(f'"{name}" is no name of an estimator')
        folders = (self.root / name).glob("*/" + METADATA_FILE)
        return sorted(path.parent.name for path in folders if VERSION.match(path.parent.name))

    def promote(self, name: str, version: str, *, reason: Reason | str, now: datetime) -> Artifact:
        """Let a version serve, saying why; the one before stays on disk."""
        artifact = self.load(name, version)
        pointer = {
            "version": version,
            "sha256": sha256_of(artifact.folder / METADATA_FILE),
            "reason": _in_english(reason),
            "promoted_at": now.isoformat(timespec="seconds"),
        }
        write_atomically(self._pointer(name), _json(pointer))
        self._note(name, "promoted", version, reason, now)
        return artifact

    def keep_back(self, name: str, version: str, *, reason: Reason | str, now: datetime) -> None:
        """Say why a version does not serve."""
        self._note(name, "kept_back", version, reason, now)

    def settle(
        self, name: str, version: str, decided: tuple[bool, Reason], *, now: datetime
    ) -> tuple[bool, Reason]:
        """Promote a new fit or keep it back, as decided; of a retired score it is kept back."""
        promoted, reason = (False, Reason("retired")) if self.is_retired(name) else decided
        if promoted:
            self.promote(name, version, reason=reason, now=now)
        else:
            self.keep_back(name, version, reason=reason, now=now)
        return promoted, reason

    def retire(self, name: str, *, reason: str, now: datetime) -> None:
        """Let no version serve, and none be learned by itself, until one is promoted again.

        Raises NotFoundError when none serves.
        """
        served = self.served(name)
        if served is None:
            raise NotFoundError(f'no version of "{name}" serves', remedy="nothing to retire")
        pointer = {"version": None, "reason": reason, "retired_at": now.isoformat()}
        write_atomically(self._pointer(name), _json(pointer))
        self._note(name, "retired", served.version, reason, now)

    def is_retired(self, name: str) -> bool:
        """Whether somebody said that no version may serve."""
        path = self._pointer(name)
        return path.is_file() and _read_json(path).get("version", "") is None

    def decisions(self, name: str) -> list[Decision]:
        """What was promoted, kept back and retired, the oldest first."""
        path = self._pointer(name).with_name(DECISIONS_FILE)
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Decision(**json.loads(line)) for line in lines if line]

    def newest_try(self, name: str) -> dict[str, Any] | None:
        """The metadata of the version kept back last, if none was promoted since."""
        for decision in reversed(self.decisions(name)):
            if decision.decision == "kept_back":
                return self.load(name, decision.version).metadata
            if decision.decision == "promoted":
                break
        return None

    def names(self) -> list[str]:
        """The estimators that have a folder here."""
        return sorted(
            path.name
            for path in self.root.glob("*")
            if path.is_dir() and NAME.match(path.name) and any(path.glob("*/" + METADATA_FILE))
        )

    def usable(self, name: str, open_artifact: Callable[[Artifact], Opened]) -> Opened | None:
        """The version that serves, opened; None also when it cannot be trusted and must be
        learned anew."""
        try:
            artifact = self.served(name)
            return None if artifact is None else open_artifact(artifact)
        except (ArtifactError, NotFoundError):
            return None

    def _note(
        self, name: str, decision: str, version: str, reason: Reason | str, now: datetime
    ) -> None:
        line: dict[str, Any] = {
            "at": now.isoformat(timespec="seconds"),
            "decision": decision,
            "version": version,
            "reason": _in_english(reason),
        }
        if isinstance(reason, Reason):
            line |= {"code": reason.code, "values": dict(reason.values)}
        path = self._pointer(name).with_name(DECISIONS_FILE)
        with path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, ensure_ascii=False) + "\n")

    def served(self, name: str) -> Artifact | None:
        """The version that serves, or None when none was promoted.

        Raises ArtifactError when the version is not the one that was promoted.
        """
        path = self._pointer(name)
        if not path.is_file():
            return None
        pointer = _read_json(path)
        if pointer.get("version", "") is None:
            return None
        version = str(pointer.get("version", ""))
        if not VERSION.match(version):
            raise _damaged(path, "does not name a version")
        artifact = self.load(name, version)
        if sha256_of(artifact.folder / METADATA_FILE) != pointer.get("sha256"):
            raise _damaged(artifact.folder / METADATA_FILE, "is not the one that was promoted")
        return artifact

    def _folder(self, name: str, version: str) -> Path:
        if not NAME.match(name):
            raise NotFoundError(f'"{name}" is no name of an estimator')
        if not VERSION.match(version):
            raise NotFoundError(f'"{version}" is no name of a version')
        return self.root / name / version

    def _pointer(self, name: str) -> Path:
        if not NAME.match(name):
            raise NotFoundError(f'"{name}" is no name of an estimator')
        return self.root / name / POINTER_FILE


def _in_english(reason: Reason | str) -> str:
    return reason.sentence("en") if isinstance(reason, Reason) else reason


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a fit depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("numpy", "scikit-learn", "scipy", "skops")}


def _card_file(language: str, kind: str = "md") -> str:
    return f"card.{language}.{kind}"


def _page(markdown: str, language: str) -> str:
    """A card as a page that needs nothing beside it."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    title = markdown.splitlines()[0].lstrip("# ").replace("`", "") if markdown else ""
    return PAGE.format(language=html.escape(language), title=html.escape(title), body=body)


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, "does not read") from error
    if not isinstance(content, dict):
        raise _damaged(path, "does not read")
    return content


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(what, where=str(path), remedy="remove the version and train again")


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
