"""From a file to a source's YAML: looked at, suggested, written out, tried without writing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cohorte.contracts import contracts
from cohorte.errors import SettingsError, SourceError
from cohorte.said import said
from cohorte.sources import Feed, Source
from cohorte.warehouse import connect_reader, write_atomically
from cohorte.workspace import Workspace
from cohorte.yamlfile import parse_yaml
from pipelines.assistant.profiles import Profile, profile_columns
from pipelines.assistant.sample import Sample, read_samples
from pipelines.assistant.suggest import (
    IDS,
    Suggestion,
    best_target,
    chosen_match,
    folded,
    suggest_together,
)
from pipelines.connectors.dialect import mapped_columns
from pipelines.connectors.json_lines import path_below
from pipelines.connectors.quoting import identifier
from pipelines.inbox import find_files

MONTH_FIRST = frozenset({"US"})
KNOWN_VALUES = 2_000


@dataclass(frozen=True)
class Addition:
    """A contract column that a column of a feed is to fill, and how, as the YAML writes it."""

    feed: str
    entity: str
    target: str
    mapped: Any


@dataclass(frozen=True)
class Proposal:
    """A column of a feed that no mapping reads, and the contract's column it may be."""

    feed: str
    column: str
    target: str | None
    profile: Profile

    def addition(self, target: str) -> Addition:
        """The column mapped to an entity's column, such as ``orders.store``."""
        entity, _, name = target.partition(".")
        match = chosen_match(entity, name, self.column, self.profile)
        mapped = self.column if match.mapped is None else match.mapped
        return Addition(self.feed, entity, name, mapped)


@dataclass
class Look:
    """A file that was looked at: its sample, its columns, and what they may mean."""

    sample: Sample
    profiles: dict[str, Profile]
    known: dict[str, dict[str, float]]
    suggestions: list[Suggestion] = field(default_factory=list)

    @property
    def column_names(self) -> list[str]:
        return list(self.profiles)


def look_at(path: Path, workspace: Workspace, entity: str | None = None) -> list[Look]:
    """Look at a file and suggest what it holds, a workbook sheet by sheet.

    Raises SourceError when it is of no kind that reads.
    """
    return [_look_at(sample, workspace, entity) for sample in read_samples(path)]


def _look_at(sample: Sample, workspace: Workspace, entity: str | None) -> Look:
    profiles = profile_columns(sample, month_first=workspace.settings.country_code in MONTH_FIRST)
    known = known_values(workspace, profiles, sample)
    return Look(sample, profiles, known, suggest_together(sample, profiles, known, entity))


def known_values(
    workspace: Workspace, profiles: Mapping[str, Profile], sample: Sample
) -> dict[str, dict[str, float]]:
    """For each column the share of its values that are ids of the company already, by id."""
    if not workspace.raw_path.is_file():
        return {}
    homes = {
        name: next(e for e, c in contracts().items() if name in c.key and len(c.key) == 1)
        for name in IDS
        if any(name in c.key and len(c.key) == 1 for c in contracts().values())
    }
    found: dict[str, dict[str, float]] = {}
    with closing(connect_reader(workspace.raw_path)) as raw:
        for column, profile in profiles.items():
            if profile.kind not in ("text", "integer") or profile.distinct < 3:
                continue
            values = list({v.strip() for v in sample.values(column) if v})[:KNOWN_VALUES]
            for name, entity in homes.items():
                hits = raw.execute(
                    f"select count(distinct {identifier(name)}) from {identifier(entity)}"
                    f" where {identifier(name)} in (select unnest(?::varchar[]))",
                    [values],
                ).fetchall()[0][0]
                if hits:
                    found.setdefault(column, {})[name] = hits / len(values)
    return found


def propose_columns(workspace: Workspace, source: Source) -> list[Proposal]:
    """The columns of each feed's newest file that no mapping reads."""
    proposals: list[Proposal] = []
    folder = workspace.source_dir(source)
    for feed in source.feeds:
        if not feed.is_of_files or not folder.is_dir():
            continue
        files = find_files(folder, feed, 0.0).files
        if not files:
            continue
        mapped = {_plain(feed, name) for name in mapped_columns(feed)}
        try:
            samples = read_samples(max(files, key=lambda one: one[1].stat().st_mtime_ns)[1])
        except SourceError:
            continue
        sample = next((s for s in samples if feed.sheet in (None, s.sheet)), samples[0])
        if sample.format != feed.format:
            continue
        profiles = profile_columns(sample)
        taken = {target for mapping in feed.entities.values() for target in mapping.columns}
        inner = [name for place, names in sample.lists.items() if place in mapped for name in names]
        for column in [*sample.columns, *inner]:
            if column not in mapped:
                found = best_target(list(feed.entities), column, profiles, taken)
                proposals.append(Proposal(feed.feed, column, found, profiles[column]))
    return proposals


def _plain(feed: Feed, name: str) -> str:
    """A mapped column as a sample names it: in JSON a bare name is a key of the record."""
    if feed.format not in ("json", "json_lines") or name.startswith(("$", "@")):
        return name
    return path_below("$", name)


def feed_of(
    look: Look, suggestions: Sequence[Suggestion], pattern: str, name: str
) -> dict[str, Any]:
    """The feed as the YAML writes it."""
    decimals = [p for p in look.profiles.values() if p.kind == "decimal"]
    commas = [p for p in decimals if p.decimal == ","]
    thousands = [p.thousands for p in decimals if p.thousands]
    feed: dict[str, Any] = {"feed": name, "files": pattern} | look.sample.declared
    if len(commas) * 2 > len(decimals):
        feed["decimal"] = ","
    if thousands:
        feed["thousands"] = max(set(thousands), key=thousands.count)
    feed["entities"] = {one.entity: _entity(one, look) for one in suggestions}
    return feed


def _entity(one: Suggestion, look: Look) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    if one.explode:
        mapping["explode"] = one.explode
    if one.is_distinct:
        mapping["distinct"] = True
    if "updated_at" in one.matches and one.entity in ("contacts", "accounts", "products"):
        mapping["version"] = "updated_at"
    order = contracts()[one.entity].column_names
    mapping["columns"] = {
        name: match.mapped if match.mapped is not None else match.column
        for name, match in sorted(one.matches.items(), key=lambda item: order.index(item[0]))
    }
    return mapping


def source_yaml(declared: Mapping[str, Any]) -> str:
    """The YAML of a source, in the order in which people read it."""
    return str(yaml.safe_dump(dict(declared), allow_unicode=True, sort_keys=False, width=96))


def parsed_source(text: str, name: str) -> Source:
    """The source that a text declares; SettingsError with line, key and remedy when it does not."""
    source = parse_yaml(text, Source, f"sources/{name}.yml")
    if source.source != name:
        raise SettingsError(
            said('source is "{source}", not "{name}"', source=source.source, name=name),
            where=f"sources/{name}.yml key source",
            remedy=said("write source: {name}", name=name),
        )
    return source


def draft_source(
    workspace: Workspace,
    looks: Sequence[tuple[Look, Sequence[Suggestion]]],
    name: str,
    title: str = "",
) -> dict[str, Any]:
    """A source of several files, one feed a shape; files of one shape share a pattern."""
    folder, inside = _folder(workspace, [look.sample.path for look, _ in looks])
    feeds: dict[tuple[Any, ...], dict[str, Any]] = {}
    for look, suggestions in looks:
        shape = (look.sample.format, look.sample.sheet, *look.sample.columns)
        pattern = pattern_of(look.sample.path, folder)
        if shape in feeds:
            files = feeds[shape]["files"]
            files = [files] if isinstance(files, str) else files
            if pattern not in files:
                feeds[shape]["files"] = [*files, pattern]
            continue
        wanted = feed_name_of(look.sample.sheet or look.sample.path.name)
        feed_name = _unused(wanted, [f["feed"] for f in feeds.values()])
        feeds[shape] = feed_of(look, suggestions, pattern, feed_name)
    declared: dict[str, Any] = {"source": name}
    if title:
        declared["title"] = title
    if not inside:
        declared["folder"] = str(folder)
    declared["feeds"] = list(feeds.values())
    return declared


def with_columns(text: str, added: Sequence[Addition]) -> str:
    """A source's YAML with more columns mapped, all else in it as people wrote it.

    Raises SettingsError when it has no such feed and entity.
    """
    for one in added:
        text = _with_column(text, one)
    return text


def map_columns(workspace: Workspace, source: Source, added: Sequence[Addition]) -> str:
    """The YAML of a source of the workspace with more columns mapped; nothing is written.

    Raises SettingsError when it would not read.
    """
    path = workspace.root / "sources" / f"{source.source}.yml"
    text = with_columns(path.read_text(encoding="utf-8"), added)
    parsed_source(text, source.source)
    return text


def _with_column(text: str, one: Addition) -> str:
    feeds = _inner(yaml.compose(text, Loader=yaml.SafeLoader), "feeds")
    feed = next((f for f in feeds.value if _inner(f, "feed").value == one.feed), None)
    if feed is None:
        raise SettingsError(
            said('there is no feed "{feed}"', feed=one.feed), remedy=said("see the source's feeds")
        )
    columns = _inner(_inner(_inner(feed, "entities"), one.entity), "columns")
    line = f"{one.target}: {json.dumps(one.mapped, ensure_ascii=False)}"
    last = columns.value[-1][1]
    if columns.flow_style:
        return f"{text[: last.end_mark.index]}, {line}{text[last.end_mark.index :]}"
    while isinstance(last, yaml.CollectionNode) and not last.flow_style:
        inner = last.value[-1]
        last = inner[1] if isinstance(inner, tuple) else inner
    end = text.find("\n", last.end_mark.index)
    end = len(text) if end < 0 else end
    return f"{text[:end]}\n{' ' * columns.value[0][0].start_mark.column}{line}{text[end:]}"


def _inner(node: Any, key: str) -> Any:
    """What a mapping of YAML holds under a key."""
    for name, value in node.value:
        if name.value == key:
            return value
    raise SettingsError(
        said('the source has no key "{key}"', key=key), remedy=said("see docs/sources.md")
    )


def write_source(workspace: Workspace, name: str, text: str, *, replace: bool = False) -> Path:
    """Write a source's YAML. SettingsError when it does not read, or one is there already."""
    parsed_source(text, name)
    path = workspace.root / "sources" / f"{name}.yml"
    if path.exists() and not replace:
        raise SettingsError(
            said("there is a source {name} already", name=name),
            where=str(path),
            remedy=said("choose another name, or mend that file"),
        )
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, text)
    return path


def _folder(workspace: Workspace, paths: Sequence[Path]) -> tuple[Path, bool]:
    """The folder of the files, and whether it is the inbox."""
    inbox = workspace.inbox_dir.resolve()
    resolved = [path.resolve() for path in paths]
    if all(inbox in path.parents for path in resolved):
        return inbox, True
    common = Path(*_common([path.parent.parts for path in resolved]))
    return common, False


def _common(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return tuple(shared)


def pattern_of(path: Path, folder: Path) -> str:
    """A pattern that meets the file and those that will follow it: dates and numbers may change."""
    relative = path.resolve().relative_to(folder.resolve())
    name = re.sub(r"[\[\]*?]", "?", relative.name)
    stem, dot, ends = name.partition(".")
    changing = re.sub(r"\d{2,}(?:[-_.][A-Z]?\d{1,4})*", "*", stem)
    stem = changing if changing.strip("*_-. ") else re.sub(r"\d", "?", stem)
    return (relative.parent / f"{stem}{dot}{ends}").as_posix()


def feed_name_of(name: str) -> str:
    """A name for a feed or a source, from the name of a file or a sheet."""
    words = re.sub(r"[0-9]+", " ", folded(name.partition(".")[0])).split()
    name = "_".join(words)[:40].strip("_")
    return name if name and name[0].isalpha() else "files"


def _unused(name: str, taken: Sequence[str]) -> str:
    number = 2
    chosen = name
    while chosen in taken:
        chosen, number = f"{name}_{number}", number + 1
    return chosen
