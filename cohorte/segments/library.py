"""The segments of a workspace: those kept as files and those made on screen, as one list."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cohorte.errors import NotFoundError
from cohorte.i18n import Language, language_of
from cohorte.said import said
from cohorte.segments.population import Population
from cohorte.segments.rules import Node, Rule, parse_rule, references, rule_json
from cohorte.store import Store, StoredSegment
from cohorte.workspace import Workspace
from cohorte.yamlfile import check_file_name, read_yaml

Tag = Annotated[str, Field(min_length=1, max_length=40)]


class SegmentFile(BaseModel):
    """What a file of the workspace's `segments` folder states. It is named after its segment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    segment: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    name: dict[Language, str] = Field(min_length=1)
    description: dict[Language, str] = {}
    owner: str | None = None
    tags: list[Tag] = []
    rule: Rule

    @field_validator("name", "description", mode="before")
    @classmethod
    def _one_for_both(cls, value: Any) -> Any:
        return {"en": value, "fr": value} if isinstance(value, str) else value


class SegmentTemplate(BaseModel):
    """A segment to start from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: dict[Language, str]
    description: dict[Language, str]
    rule: Rule


class _TemplatesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    templates: dict[str, SegmentTemplate]


@cache
def segment_templates() -> dict[str, SegmentTemplate]:
    """The segments that the builder offers to start from, by key."""
    return read_yaml(Path(__file__).with_name("templates.yml"), _TemplatesFile).templates


@dataclass(frozen=True)
class Segment:
    """A named rule. Files are read-only on screen; what is stored has an owner and versions."""

    segment_id: str
    names: Mapping[str, str]
    rule: Node
    origin: Literal["file", "store"]
    descriptions: Mapping[str, str]
    owner: str | None = None
    updated_at: datetime | None = None
    rule_version: int | None = None
    tags: Sequence[str] = ()

    def name(self, language: str) -> str:
        return _in_language(self.names, language) or self.segment_id

    def description(self, language: str) -> str:
        return _in_language(self.descriptions, language)


def _in_language(texts: Mapping[str, str], language: str) -> str:
    return texts.get(language_of(language)) or next(iter(texts.values()), "")


def file_segments(folder: Path) -> list[Segment]:
    """The segments kept as `*.yml` in a folder; SettingsError naming the file that is wrong."""
    segments = []
    for path in sorted(folder.glob("*.yml")):
        stated = read_yaml(path, SegmentFile)
        check_file_name(path, "segment", stated.segment)
        segments.append(
            Segment(
                segment_id=stated.segment,
                names={str(code): text for code, text in stated.name.items()},
                rule=stated.rule,
                origin="file",
                descriptions={str(code): text for code, text in stated.description.items()},
                owner=stated.owner,
                updated_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
                tags=tuple(stated.tags),
            )
        )
    return segments


def stored_segment(row: StoredSegment) -> Segment:
    """A segment of the store; SettingsError when its rule is of a language we do not read."""
    return Segment(
        segment_id=row.segment_id,
        names={"en": row.name, "fr": row.name},
        rule=parse_rule(row.rule, said('segment "{name}"', name=row.name)),
        origin="store",
        descriptions={"en": row.description, "fr": row.description},
        owner=row.owner,
        updated_at=row.updated_at,
        rule_version=row.rule_version,
        tags=tuple(row.tags),
    )


def all_segments(workspace: Workspace, store: Store) -> list[Segment]:
    """Every segment in use: the files' first, then the store's by name.

    SettingsError when a file is wrong. Ids never clash: the store's hold a hyphen.
    """
    stored = [stored_segment(row) for row in store.list_segments()]
    return [*file_segments(workspace.segments_dir), *stored]


def with_library(population: Population, segments: Iterable[Segment]) -> Population:
    """The same customers, with these segments to refer to."""
    known = list(segments)
    return population.with_segments(
        {segment.segment_id: segment.rule for segment in known},
        {segment.segment_id: segment.names for segment in known},
    )


def referring(segments: Iterable[Segment], segment_id: str) -> list[Segment]:
    """The segments whose rule refers to this one directly."""
    return [
        segment
        for segment in segments
        if any(each.segment == segment_id for each in references(segment.rule))
    ]


def segment_yaml(segment: Segment) -> str:
    """A segment as a file of the workspace states it."""
    stated = {
        "segment": file_name(segment.segment_id),
        "name": dict(segment.names),
        "description": {code: text for code, text in segment.descriptions.items() if text},
        "owner": segment.owner,
        "tags": list(segment.tags),
        "rule": rule_json(segment.rule),
    }
    kept = {key: value for key, value in stated.items() if value}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def file_name(segment_id: str) -> str:
    """The name that a file of a segment takes, without its ending."""
    plain = unicodedata.normalize("NFKD", segment_id).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "segment"
    return (stem if stem[0].isalpha() else f"s_{stem}")[:63]


def definition_changes(before: Node, after: Node) -> list[tuple[Literal["-", "+"], str]]:
    """The lines of YAML that differ between two rules, in order."""
    old, new = (
        yaml.safe_dump(rule_json(rule), sort_keys=False, allow_unicode=True, width=100).splitlines()
        for rule in (before, after)
    )
    changed: list[tuple[Literal["-", "+"], str]] = []
    for line in difflib.ndiff(old, new):
        if line.startswith("- "):
            changed.append(("-", line[2:]))
        elif line.startswith("+ "):
            changed.append(("+", line[2:]))
    return changed


def find_segment(workspace: Workspace, store: Store, wanted: str) -> Segment:
    """The segment of that id, else of that name in any language; NotFoundError when none is."""
    segments = all_segments(workspace, store)
    for segment in segments:
        if segment.segment_id == wanted:
            return segment
    folded = wanted.strip().casefold()
    for segment in segments:
        if folded in (name.casefold() for name in segment.names.values()):
            return segment
    raise NotFoundError(
        f'there is no segment "{wanted}"', remedy="choose one that the list of segments shows"
    )
