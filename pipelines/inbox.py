"""What lies in a source's folder for one feed: files that are finished, and archives' members.

A file that is still being written is left for the next run: one whose ``.done`` mark is not there
yet where the feed declares one, one with the name of an unfinished transfer, and one whose size or
time changes while it is watched for a moment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cohorte.sources import Feed
from cohorte.workspace import Workspace

UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".swp")
INVISIBLE = frozenset("\u061c\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")


@dataclass(frozen=True)
class Stamp:
    """What changes when a file is written to."""

    size: int
    changed_ns: int


def stamp(path: Path) -> Stamp:
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Found:
    """Finished files by name, names left for later, and patterns that no file meets."""

    files: list[tuple[str, Path]]
    unfinished: list[str]
    unmet: list[str]


def find_files(folder: Path, feed: Feed, settle_seconds: float) -> Found:
    """The feed's files below its folder, by name; a name is safe to show."""
    found: dict[str, Path] = {}
    unfinished: set[str] = set()
    unmet: list[str] = []
    for pattern in feed.files:
        start = Path(Path(pattern).anchor) if Path(pattern).is_absolute() else folder
        matches = [
            path
            for path in start.glob(pattern.removeprefix(Path(pattern).anchor))
            if path.is_file() and not path.name.startswith((".", "~$"))
        ]
        for path in matches:
            name = safe_name(Path(os.path.relpath(path, folder)).as_posix())
            if feed.done_mark and path.name.endswith(feed.done_mark):
                continue
            if _is_unfinished(path, feed):
                unfinished.add(name)
            else:
                found[name] = path
        if not matches:
            unmet.append(pattern)
    unsettled = _unsettled(found.values(), settle_seconds)
    unfinished |= {name for name, path in found.items() if path in unsettled}
    files = sorted((name, path) for name, path in found.items() if path not in unsettled)
    return Found(files, sorted(unfinished), unmet)


def unclaimed_files(workspace: Workspace) -> dict[str, Path]:
    """Files of the inbox that no source reads, by name."""
    inbox = workspace.inbox_dir
    if not inbox.is_dir():
        return {}
    claimed: set[Path] = set()
    for source in workspace.sources():
        folder = workspace.source_dir(source)
        for feed in source.feeds:
            if feed.is_of_files and folder.is_dir():
                claimed |= {path.resolve() for _, path in find_files(folder, feed, 0.0).files}
    return {
        safe_name(path.relative_to(inbox).as_posix()): path
        for path in sorted(inbox.rglob("*"))
        if path.is_file()
        and not path.name.startswith((".", "~$"))
        and path.resolve() not in claimed
    }


def _is_unfinished(path: Path, feed: Feed) -> bool:
    if path.name.lower().endswith(UNFINISHED):
        return True
    return feed.done_mark is not None and not path.with_name(path.name + feed.done_mark).exists()


def _unsettled(paths: Iterable[Path], settle_seconds: float) -> set[Path]:
    """Files that are written to while one watches: only those touched just now are watched."""
    now = time.time()
    young = {
        path: stamp(path) for path in paths if 0 <= now - path.stat().st_mtime < settle_seconds
    }
    if not young:
        return set()
    youngest = max(one.changed_ns for one in young.values()) / 1e9
    time.sleep(max(0.0, min(settle_seconds, youngest + settle_seconds - now)))
    return {path for path, before in young.items() if not path.exists() or stamp(path) != before}


def safe_name(name: str) -> str:
    """A name with what a log or a screen would obey written out: line ends, marks of direction."""
    return "".join(
        character
        if character.isprintable() and character not in INVISIBLE
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in name
    )
