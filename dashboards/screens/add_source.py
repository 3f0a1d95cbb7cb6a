"""Add a source: a file never seen, what it holds, how it maps, the first rows as they will be read.

The same steps as `cohorte sources add`. Nothing is written before the last button.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from cohorte.clock import now
from cohorte.contracts import contract, contracts
from cohorte.errors import CohorteError
from cohorte.i18n import N_
from cohorte.sources import Source
from cohorte.workspace import Workspace
from dashboards import queries, vocabulary
from dashboards.components import Column, card, draw, empty, note, page_head, pill, strip, table
from dashboards.language import Words, words
from dashboards.markup import div, join, span, tag
from dashboards.vocabulary import named
from pipelines.assistant import (
    Addition,
    Look,
    Match,
    Profile,
    Suggestion,
    chosen_match,
    draft_source,
    feed_name_of,
    look_at,
    map_columns,
    parsed_source,
    propose_columns,
    source_yaml,
    suggest_together,
    write_source,
)
from pipelines.inbox import safe_name, unclaimed_files
from pipelines.ingest import Rehearsal, rehearse

KINDS = {
    "text": N_("text"),
    "integer": N_("whole number"),
    "decimal": N_("number"),
    "date": N_("date"),
    "timestamp": N_("date and time"),
    "boolean": N_("yes or no"),
    "empty": N_("empty"),
}
PATTERNS = {
    "email": N_("e-mail addresses"),
    "phone": N_("phone numbers"),
    "url": N_("web addresses"),
    "currency": N_("currencies"),
    "country": N_("countries"),
    "siren": N_("company numbers"),
    "postcode": N_("postal codes"),
    "salutation": N_("forms of address"),
    "uuid": N_("technical ids"),
}
GUESSES = {
    "encoding": N_("Encoding"),
    "delimiter": N_("Delimiter"),
    "header_row": N_("Header line"),
    "format": N_("Format"),
    "fields": N_("Fields"),
}
SENT_MEGABYTES = 200
SHOWN_COLUMNS = 8
SHOWN_ROWS = 8


def render() -> None:
    _ = words()
    with page_head(
        _("Add a source"),
        _("From a file to rows of the customer database; nothing is written before you say so."),
    ):
        pass
    space = queries.workspace()
    path = _chosen_file(space, _)
    if path is None:
        _left_out(space, _)
        return
    try:
        looks = _looked_at(path, space)
    except CohorteError as error:
        empty(_("This file cannot be read by itself"), _.told(error.said), symbol="help")
        return
    chosen = [pair for pair in (_one(look, place, _) for place, look in enumerate(looks)) if pair]
    if chosen:
        _try_and_write(space, chosen, _)


def _chosen_file(space: Workspace, _: Words) -> Path | None:
    """A file of the inbox that no source reads yet, or one that is sent; it goes to the inbox."""
    waiting = unclaimed_files(space)
    with card("file", _("Which file?"), _("One of the inbox, or one of your own")):
        left, right = st.columns(2, gap="medium")
        with left:
            name = st.selectbox(
                _("Files in the inbox that no source reads"),
                list(waiting),
                index=None,
                placeholder=_("Choose a file") if waiting else _("There is none"),
                disabled=not waiting,
                key="inbox-file",
            )
        with right:
            sent = st.file_uploader(
                _("A file of your own"), key="sent-file", max_upload_size=SENT_MEGABYTES
            )
    if sent is not None:
        target = space.inbox_dir / Path(safe_name(Path(sent.name).name)).name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_bytes(sent.getvalue())
        elif target.read_bytes() != sent.getvalue():
            note(_("The inbox holds another file of this name; that one is looked at."))
        return target
    return waiting[name] if name else None


def _left_out(space: Workspace, _: Words) -> None:
    """Columns of a declared source that no mapping reads, such as those that came since."""
    sources = {source.source: source for source in space.sources()}
    if not sources:
        return
    with card(
        "left-out",
        _("Or map what a source leaves out"),
        _("Columns that came since it was written; the next run reads its files again"),
    ):
        name = st.selectbox(
            _("Source"),
            list(sources),
            index=None,
            format_func=lambda name: sources[name].title or name,
            placeholder=_("Choose a source"),
            key="left-out-of",
        )
        if name is None:
            return
        source = sources[name]
        proposals = propose_columns(space, source)
        if not proposals:
            note(_("Every column of its newest files is mapped."))
            return
        added = []
        for number, one in enumerate(proposals):
            feed = next(feed for feed in source.feeds if feed.feed == one.feed)
            targets = [
                f"{entity}.{column}"
                for entity, mapping in feed.entities.items()
                for column in contract(entity).column_names
                if column not in mapping.columns
            ]
            if number == 0 or proposals[number - 1].feed != one.feed:
                draw(div(_("Feed {feed}", feed=one.feed), cls="co-note"))
            left, right = st.columns([6, 5], gap="medium", vertical_alignment="center")
            with left:
                draw(_column_line(one.profile, False, _))
            with right:
                target = st.selectbox(
                    _("{column} becomes", column=one.column),
                    targets,
                    index=targets.index(one.target) if one.target in targets else None,
                    placeholder=_("not mapped"),
                    label_visibility="collapsed",
                    key=f"left-{name}-{number}",
                )
            if target:
                added.append(one.addition(target))
        _write_left_out(space, source, added, _)


def _write_left_out(space: Workspace, source: Source, added: list[Addition], _: Words) -> None:
    if len({(one.feed, one.entity, one.target) for one in added}) < len(added):
        note(_("Two columns cannot become the same one."))
        return
    if not st.button(_("Write the mapping"), disabled=not added, key="write-left-out"):
        return
    try:
        text = map_columns(space, source, added)
        tried = rehearse(space, parsed_source(text, source.source), now=now())
        refused = [file for file in tried.report.files if file.status == "quarantined"]
        if refused:
            note(_.told(refused[0].messages[-1]))
            return
        written = write_source(space, source.source, text, replace=True)
    except CohorteError as error:
        note(_.told(error.said))
        return
    st.success(_("{file} is written: the next run takes it in.", file=f"sources/{written.name}"))


def _looked_at(path: Path, space: Workspace) -> list[Look]:
    """The looks at a file, kept while it does not change."""
    key = ("look", str(path), path.stat().st_mtime_ns, path.stat().st_size)
    if st.session_state.get("look-key") != key:
        st.session_state["look"] = look_at(path, space)
        st.session_state["look-key"] = key
        st.session_state.pop("rehearsal", None)
    found: list[Look] = st.session_state["look"]
    return found


def _one(look: Look, place: int, _: Words) -> tuple[Look, list[Suggestion]] | None:
    """One table of the file: what it holds, and the mapping as the person sets it."""
    sample = look.sample
    first = look.suggestions[0].entity if look.suggestions else None
    titles = {name: _title(name, _) for name in contracts()}
    heading = (
        _("{file} looks like {entity}", file=sample.title, entity=titles[first].lower())
        if first
        else _("Nothing tells what {file} holds", file=sample.title)
    )
    with card(f"look-{place}", heading, _facts(look, _)):
        options: list[str | None] = [None, *contracts()]
        entity = st.selectbox(
            _("What are its rows?"),
            options,
            index=options.index(first),
            format_func=lambda name: titles[name] if name else _("Leave it out"),
            key=f"entity-{place}-{sample.title}",
        )
        if entity is None:
            return None
        suggestions = look.suggestions
        if entity != first:
            suggestions = suggest_together(look.sample, look.profiles, look.known, entity)
        if not suggestions:
            suggestions = [Suggestion(entity, {}, list(contract(entity).required))]
        return look, _mapping(look, suggestions, place, _)


def _title(entity: str, _: Words) -> str:
    return contract(entity).title[_.code]


def _facts(look: Look, _: Words) -> str:
    """How the file reads and how sure that is, in one line."""
    facts = []
    for guess in look.sample.guesses:
        value = {"\t": _("tab"), 0: _("none")}.get(guess.value, guess.value)
        sure = f" ({_.percent(guess.sure, 0)})" if guess.sure < 1 else ""
        facts.append(f"{named(GUESSES, guess.name, _)} {value}{sure}")
    rows = _.ngettext("{count} row looked at", "{count} rows looked at", len(look.sample.rows))
    return " · ".join([*facts, rows])


def _mapping(look: Look, suggestions: list[Suggestion], place: int, _: Words) -> list[Suggestion]:
    """One line a column: what it holds, and what it becomes."""
    targets = [
        (one.entity, column.name) for one in suggestions for column in contract(one.entity).columns
    ]
    several = len(suggestions) > 1
    chosen: dict[str, list[tuple[str, str]]] = {}
    version = "-".join(one.entity for one in suggestions)
    for number, profile in enumerate(look.profiles.values()):
        usual = [
            (one.entity, match.target)
            for one in suggestions
            for match in one.matches.values()
            if profile.name in _columns_of(match)
        ]
        doubtful = any(
            one.matches[target].is_doubtful
            for one in suggestions
            for entity, target in usual
            if entity == one.entity
        )
        left, right = st.columns([6, 5], gap="medium", vertical_alignment="center")
        with left:
            draw(_column_line(profile, doubtful, _))
        with right:
            chosen[profile.name] = st.multiselect(
                _("{column} becomes", column=profile.name),
                targets,
                default=usual,
                format_func=lambda pair: (
                    f"{_title(pair[0], _)} · {pair[1]}" if several else pair[1]
                ),
                placeholder=_("not mapped"),
                label_visibility="collapsed",
                key=f"map-{place}-{version}-{number}",
            )
    return [_rebuilt(one, chosen, look.profiles, _) for one in suggestions]


def _columns_of(match: Match) -> list[str]:
    if isinstance(match.mapped, dict) and "columns" in match.mapped:
        return list(match.mapped["columns"])
    return [match.column] if match.column else []


def _column_line(profile: Profile, doubtful: bool, _: Words) -> Any:
    """A column's name, what its values look like, and the first of them."""
    kind = named(PATTERNS, profile.pattern, _) if profile.pattern else named(KINDS, profile.kind, _)
    facts = [
        kind + (f" {profile.formats[0]}" if profile.formats else ""),
        _("{share} filled", share=_.percent(profile.filled, 0)),
        _.ngettext("{count} value", "{count} different values", profile.distinct),
    ]
    if profile.is_ambiguous:
        facts.append(_("day and month could be the other way round"))
    return div(
        tag("h3", profile.name, " ", pill(_("please check"), "warn") if doubtful else None),
        tag("p", " · ".join(facts)),
        tag("p", span(", ".join(profile.samples[:3])[:70], cls="co-mono")),
        cls="co-card-head",
    )


def _rebuilt(
    one: Suggestion,
    chosen: dict[str, list[tuple[str, str]]],
    profiles: dict[str, Profile],
    _: Words,
) -> Suggestion:
    """The suggestion with the columns as chosen; constants stay where nothing fills their place."""
    matches = {name: match for name, match in one.matches.items() if match.column is None}
    for column, pairs in chosen.items():
        for entity, target in pairs:
            if entity != one.entity:
                continue
            before = one.matches.get(target)
            if before is not None and column in _columns_of(before):
                matches[target] = before
            else:
                matches[target] = chosen_match(entity, target, column, profiles[column])
    missing = [name for name in contract(one.entity).required if name not in matches]
    if missing:
        note(
            _(
                "{entity} cannot do without {columns}",
                entity=_title(one.entity, _),
                columns=_.list(missing),
            )
        )
    return replace(one, matches=matches, missing=missing)


def _try_and_write(space: Workspace, chosen: list[tuple[Look, list[Suggestion]]], _: Words) -> None:
    is_whole = all(one.is_whole for _look, suggestions in chosen for one in suggestions)
    with card("write", _("Try it, then write it")):
        left, right = st.columns(2, gap="medium")
        with left:
            name = st.text_input(
                _("Name of the source"),
                value=feed_name_of(chosen[0][0].sample.path.name),
                help=_("Small letters, digits and underscores"),
                key="source-name",
            )
        with right:
            title = st.text_input(_("What people call it"), key="source-title")
        text = source_yaml(draft_source(space, chosen, name, title))
        with st.expander(_("The source as it will be written"), key="yaml"):
            st.code(text, language=None, wrap_lines=True)
        tried = st.button(_("Try it on the file"), disabled=not is_whole, key="try")
        if tried:
            try:
                source = parsed_source(text, name)
                st.session_state["rehearsal"] = (text, rehearse(space, source, now=now()))
            except CohorteError as error:
                note(_.told(error.said))
                return
        kept = st.session_state.get("rehearsal")
        if kept is None or kept[0] != text:
            return
        found: Rehearsal = kept[1]
        _show(found, _)
        refused = [file for file in found.report.files if file.status == "quarantined"]
        if st.button(_("Write the source"), type="primary", disabled=bool(refused), key="write-it"):
            try:
                written = write_source(space, name, text)
            except CohorteError as error:
                note(_.told(error.said))
                return
            st.session_state.pop("rehearsal", None)
            st.success(
                _("{file} is written: the next run takes it in.", file=f"sources/{written.name}")
            )


def _show(tried: Rehearsal, _: Words) -> None:
    """The rows as they will be read, those rejected and why."""
    report = tried.report
    strip(
        [
            (_("Records"), _.number(report.records)),
            (_("Accepted"), _.number(report.accepted)),
            (_("Rejected"), _.number(report.rejected)),
        ]
    )
    for file in report.files:
        if file.status == "quarantined":
            note(_.told(file.messages[-1]))
    for preview in tried.previews:
        if not preview.rows:
            continue
        shown = preview.columns[:SHOWN_COLUMNS]
        draw(
            table(
                [Column(name, "" if place < 3 else "hide") for place, name in enumerate(shown)],
                [
                    ["" if v is None else str(v)[:40] for v in row[: len(shown)]]
                    for row in preview.rows[:SHOWN_ROWS]
                ],
                _title(preview.entity, _),
            )
        )
    if tried.rejected:
        draw(
            table(
                [Column(_("Line"), "num"), Column(_("Reason")), Column(_("Value"), "wide")],
                [
                    [
                        _.number(row.line),
                        join(
                            span(named(vocabulary.REJECT_REASONS, row.reason, _), cls="main"),
                            span(".".join(filter(None, [row.entity, row.column])), cls="sub"),
                        ),
                        span((row.value or row.row_text or "")[:80], cls="co-mono"),
                    ]
                    for row in tried.rejected[:SHOWN_ROWS]
                ],
                _("Rejected rows"),
            )
        )


render()
