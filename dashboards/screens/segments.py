"""Segments: the list, one segment's page, and the builder."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import streamlit as st

from cohorte.clock import now
from cohorte.errors import CohorteError, SettingsError
from cohorte.i18n import N_
from cohorte.segments import (
    CHANNELS,
    Channel,
    Node,
    ProfileField,
    Segment,
    all_segments,
    describe,
    export_audience,
    parse_rule,
    rule_json,
)
from cohorte.segments.library import stored_segment
from dashboards import queries, vocabulary
from dashboards.components import (
    Column,
    bar,
    card,
    cell,
    draw,
    empty,
    note,
    open_table,
    page_head,
    reach,
    strip,
    table,
)
from dashboards.language import Words, words
from dashboards.markup import div, span, tag
from dashboards.segment_draft import (
    MODES,
    NO_VALUE,
    Draft,
    Group,
    Line,
    close_draft,
    current_draft,
    incomplete,
    normal,
    open_draft,
    tests_of,
    to_rule,
)

AUTHOR = "screen"
SAMPLE_SIZE = 8
EXPORT_COLUMNS = (
    "full_name", "first_name", "last_name", "email", "phone", "postcode", "city", "country_code",
    "language", "rfm_segment", "lifetime_net_revenue", "last_order_date",
)  # fmt: skip
REMOVED = {
    "internal": N_("internal or test record"),
    "no_address": N_("no address on this channel"),
    "invalid_address": N_("address not valid"),
    "refused": N_("consent refused or withdrawn"),
    "no_consent": N_("no consent recorded"),
}


def render() -> None:
    _ = words()
    asked = str(st.query_params.get("id") or "")
    if asked == "new":
        _builder(current_draft() or _blank(_), _)
    elif asked:
        _one(asked, _)
    else:
        _list(_)


def _blank(_: Words) -> Draft:
    draft = open_draft("", {"all": []})
    assert draft is not None  # noqa: S101
    draft.rule.items.append(Line("days_since_last_order", "less_or_equal", None))
    return draft


def _go(segment_id: str | None) -> None:
    if segment_id is None:
        st.query_params.pop("id", None)
    else:
        st.query_params["id"] = segment_id
    st.rerun()


def _back(_: Words) -> None:
    with st.container(key="back-segments"):
        if st.button(_("All segments"), icon=":material/arrow_back:", type="tertiary", key="back"):
            close_draft()
            _go(None)


# The list


def _segments(_: Words) -> list[Segment]:
    """Every segment that reads; a file that does not is reported, and the store's still show."""
    store, space = queries.store(), queries.workspace()
    try:
        return all_segments(space, store)
    except SettingsError as error:
        draw(div(str(error), cls="co-warning", role="alert"))
        return [stored_segment(row) for row in store.list_segments()]


def _list(_: Words) -> None:
    with page_head(
        _("Segments"), _("Rules over the customer profiles. Sizes are those of the version served.")
    ):
        if st.button(_("New segment"), type="primary", icon=":material/add:", key="new"):
            close_draft()
            _go("new")
    segments = _segments(_)
    if not segments:
        empty(
            _("No segment yet"),
            _("Make the first one with “New segment”, or from a cell of the RFM map."),
            symbol="filter",
        )
        return
    catalogue, as_of = queries.catalogue(), queries.pinned().as_of
    sizes: dict[str, int] = {}
    sentences: dict[str, str] = {}
    for segment in segments:
        try:
            sentences[segment.segment_id] = describe(segment.rule, _.code, catalogue, as_of)
        except CohorteError as error:
            sentences[segment.segment_id] = str(error)
            continue
        sizes[segment.segment_id] = -1
    asked = tuple((s.segment_id, _json(s.rule)) for s in segments if s.segment_id in sizes)
    sizes = queries.rule_sizes(asked) if asked else {}
    base, moves = queries.base_size(), queries.segment_moves()
    evaluated = queries.evaluated_segments()
    biggest = max(sizes.values(), default=1) or 1
    rows = []
    for segment in segments:
        size = sizes.get(segment.segment_id)
        rows.append(
            (
                segment.segment_id,
                [
                    cell(segment.name(_.code), sub=sentences[segment.segment_id]),
                    cell(_.number(size) if size is not None else "–"),
                    cell(
                        _.share(size, base) if size is not None else "–",
                        bar=(size or 0) / biggest,
                    ),
                    cell(_moved(segment.segment_id, moves, evaluated, _)),
                    cell(
                        pill=_("file") if segment.origin == "file" else _("screen"),
                        tone="" if segment.origin == "file" else "accent",
                        sub=None
                        if segment.updated_at is None
                        else _.day(_.local(segment.updated_at).date()),
                    ),
                ],
            )
        )
    picked = open_table(
        "segments",
        [
            Column(_("Segment"), "sentence"),
            Column(_("Customers"), "num first"),
            Column(_("Share of base"), "wide"),
            Column(_("Change"), "moved"),
            Column(_("Made in"), "hide"),
        ],
        rows,
        label=_("Segments"),
        path="segments?id=",
    )
    if picked:
        close_draft()
        _go(picked)


def _moved(
    segment_id: str, moves: dict[str, tuple[int, int]], evaluated: dict[str, int], _: Words
) -> str:
    if segment_id not in evaluated:
        return _("new: counted by the next run")
    entered, gone = moves.get(segment_id, (0, 0))
    if not entered and not gone:
        return _("unchanged")
    if not gone:
        return _("+{entered} entered", entered=_.number(entered))
    if not entered:
        return _("−{gone} left", gone=_.number(gone))
    return _("+{entered} entered, −{gone} left", entered=_.number(entered), gone=_.number(gone))


def _json(rule: Node) -> str:
    return json.dumps(rule_json(rule), sort_keys=True, ensure_ascii=False)


# One segment


def _one(segment_id: str, _: Words) -> None:
    draft = current_draft()
    if draft is not None and draft.segment_id == segment_id:
        _builder(draft, _)
        return
    segment = next((s for s in _segments(_) if s.segment_id == segment_id), None)
    _back(_)
    if segment is None:
        empty(_("There is no such segment"), _("It may have been archived."), symbol="filter")
        return
    with page_head(segment.name(_.code), segment.description(_.code)):
        if segment.origin == "store" and st.button(_("Edit"), icon=":material/edit:", key="edit"):
            _edit(segment, _)
        if st.button(_("Copy"), icon=":material/content_copy:", key="copy"):
            copied = open_draft(
                _("{name} (copy)", name=segment.name(_.code)), rule_json(segment.rule)
            )
            if copied is None:
                st.session_state["too_deep"] = True
                st.rerun()
            _go("new")
        if segment.origin == "store" and st.button(_("Archive"), type="tertiary", key="archive"):
            queries.store().archive_segment(segment_id, who=AUTHOR, at=now())
            _go(None)
    if st.session_state.pop("too_deep", False):
        note(_("This rule is nested deeper than the builder shows. Edit it as a file."))
    if segment.origin == "file":
        note(
            _(
                "This segment is kept as a file of the workspace, segments/{name}.yml: "
                "read-only here.",
                name=segment.segment_id,
            )
        )
    _results(_json(segment.rule), segment.rule, _)
    _export(segment, _)


def _edit(segment: Segment, _: Words) -> None:
    opened = open_draft(
        segment.name(_.code),
        rule_json(segment.rule),
        description=segment.description(_.code),
        segment_id=segment.segment_id,
        rule_version=segment.rule_version,
    )
    if opened is None:
        st.session_state["too_deep"] = True
    st.rerun()


def _results(rule_text: str, rule: Node, _: Words) -> None:
    """Size, share, reach, sentence and a masked sample of a rule."""
    found = queries.rule_reach(rule_text)
    base, size = queries.base_size(), found[""]
    with card("size"):
        draw(
            div(
                div(_.number(size), cls="co-big"),
                div(
                    _.ngettext("customer", "customers", size),
                    " · ",
                    _("{share} of the base", share=_.share(size, base)),
                    cls="co-note",
                ),
                bar(size / (base or 1)),
                cls="co-size",
            )
        )
        draw(
            tag(
                "p",
                describe(rule, _.code, queries.catalogue(), queries.pinned().as_of),
                cls="co-sentence",
            )
        )
        if size:
            reach(found, size, vocabulary.REACHED_BY)
    if size:
        with card("sample", _("A few of them"), _("Masked: names, e-mails and phones in part")):
            draw(_sample_table(queries.rule_sample(rule_text, SAMPLE_SIZE), _))


def _sample_table(rows: list[queries.Row], _: Words) -> Any:
    return table(
        [Column(_("Name")), Column(_("Reached at"), "wide"), Column(_("Revenue"), "num first")],
        [
            [
                masked_name(row["full_name"]),
                masked_email(row["email"]) or masked_phone(row["phone"]) or "–",
                _.money(row["lifetime_net_revenue"], 0),
            ]
            for row in rows
        ],
        _("A few of them"),
    )


def masked_name(name: str | None) -> str:
    """First word whole, initials after: Inès D."""
    parts = (name or "").split()
    return " ".join([*parts[:1], *(f"{part[0]}." for part in parts[1:])]) or "–"


def masked_email(email: str | None) -> str:
    """First letter and domain: i•••@example.org."""
    mailbox, at, domain = (email or "").rpartition("@")
    return f"{mailbox[:1]}•••{at}{domain}" if at else ""


def masked_phone(phone: str | None) -> str:
    """The last two figures only."""
    return f"••• {phone[-2:]}" if phone else ""


# Export


def _export(segment: Segment, _: Words) -> None:
    purposes = queries.purposes() or [queries.workspace().settings.consent_purpose]
    usual = queries.workspace().settings.consent_purpose
    with card(
        "export",
        _("Export as CSV"),
        _(
            "Only people with a valid address and a consent for the purpose are in the file. "
            "The export is logged."
        ),
    ):
        with st.container(key="export-choices", horizontal=True, vertical_alignment="bottom"):
            channel: Channel = st.selectbox(
                _("Channel"),
                CHANNELS,
                format_func=lambda key: _(vocabulary.CHANNELS[key]),
                key="export-channel",
            )
            purpose = st.selectbox(
                _("Purpose"),
                purposes,
                index=purposes.index(usual) if usual in purposes else 0,
                key="export-purpose",
            )
            catalogue = queries.catalogue()
            columns = st.multiselect(
                _("Columns beside the id and the address"),
                [name for name in EXPORT_COLUMNS if name in catalogue.fields],
                default=["full_name"] if "full_name" in catalogue.fields else [],
                format_func=lambda name: catalogue[name].label(_.code),
                placeholder=_("Choose"),
                select_all=False,
                key="export-columns",
            )
        members, reached, removed = queries.audience_counts(_json(segment.rule), channel, purpose)
        strip(
            [
                (_("In the segment"), _.number(members)),
                *[(_(REMOVED[why]), f"−{_.number(n)}") for why, n in removed.items() if n],
                (_("In the file"), _.number(reached)),
            ],
            boxed=False,
        )
        if not reached:
            note(
                _(
                    "Nobody may be contacted on this channel for this purpose: "
                    "there is nothing to export."
                )
            )
            return
        st.download_button(
            _.ngettext("Download {count} line", "Download {count} lines", reached),
            data=_exporter(segment, channel, purpose, columns, _),
            file_name=f"{re.sub(r'[^A-Za-z0-9_-]+', '-', segment.segment_id)}_{channel}.csv",
            mime="text/csv",
            type="primary",
            icon=":material/download:",
            on_click="ignore",
            key="export",
        )


def _exporter(
    segment: Segment, channel: Channel, purpose: str, columns: list[str], _: Words
) -> Any:
    """What makes the file when it is asked for, from the version that the page shows."""
    space, store, people = queries.workspace(), queries.store(), queries.population()
    version = queries.pinned().info.version

    def make() -> bytes:
        path, _export_entry = export_audience(
            space, store, people, segment, channel, purpose,
            who=AUTHOR, at=now(), columns=columns, version=version, language=_.code,
        )  # fmt: skip
        return path.read_bytes()

    return make


# The builder


def _builder(draft: Draft, _: Words) -> None:
    _back(_)
    title = _("Edit the segment") if draft.segment_id else _("New segment")
    with page_head(
        title, _("The count follows every change. Lines without a value do not count yet.")
    ):
        pass
    left, right = st.columns([8, 5], gap="small")
    with left:
        with card("rule"):
            _group(draft.rule, None, _)
        with card("save"):
            _save(draft, _)
    with right:
        rule_text = json.dumps(normal(to_rule(draft.rule)), sort_keys=True, ensure_ascii=False)
        lacking = incomplete(draft.rule)
        with st.container(key="lacking"):
            if lacking:
                note(
                    _.ngettext(
                        "{count} line has no value yet.",
                        "{count} lines have no value yet.",
                        lacking,
                    )
                )
        _results(rule_text, parse_rule(json.loads(rule_text)), _)


def _group(group: Group, parent: Group | None, _: Words) -> None:
    with st.container(key=f"mode-{group.uid}", horizontal=True, vertical_alignment="center"):
        st.html(
            span(_("Customers who meet") if parent is None else _("and within it")), width="content"
        )
        group.mode = st.selectbox(
            _("How the lines are joined"),
            list(MODES),
            index=list(MODES).index(group.mode),
            format_func=lambda mode: _(MODES[mode]),
            key=f"m-{group.uid}",
            label_visibility="collapsed",
            width=230,
        )
        if parent is not None and st.button(
            _("Remove the group"), key=f"x-{group.uid}", type="tertiary", icon=":material/close:"
        ):
            parent.items.remove(group)
            st.rerun()
    for item in list(group.items):
        if isinstance(item, Group):
            with st.container(key=f"group-{item.uid}"):
                _group(item, group, _)
        else:
            _line(item, group, _)
    with st.container(key=f"add-{group.uid}", horizontal=True):
        if st.button(_("Add a line"), key=f"l-{group.uid}", icon=":material/add:"):
            group.items.append(Line("lifetime_net_revenue", "greater_or_equal", None))
            st.rerun()
        if parent is None and st.button(
            _("Add a group"), key=f"g-{group.uid}", icon=":material/library_add:"
        ):
            inner = Group("any" if group.mode == "all" else "all")
            inner.items.append(Line("lifetime_net_revenue", "greater_or_equal", None))
            group.items.append(inner)
            st.rerun()


def _line(line: Line, group: Group, _: Words) -> None:
    catalogue = queries.catalogue()
    labels = {
        each.name: f"{each.label(_.code)} · {catalogue.group_label(group, _.code)}"
        for group, members in catalogue.groups().items()
        for each in members
    }
    fields = list(labels)
    if line.field not in fields:
        line.field = fields[0]
    with st.container(key=f"line-{line.uid}", horizontal=True, vertical_alignment="center"):
        chosen = st.selectbox(
            _("Field"),
            fields,
            index=fields.index(line.field),
            format_func=labels.__getitem__,
            key=f"f-{line.uid}",
            label_visibility="collapsed",
        )
        tested = catalogue[chosen]
        tests = tests_of(tested)
        if chosen != line.field or line.test not in tests:
            line.field, line.value = chosen, None
            line.test = line.test if line.test in tests else next(iter(tests))
        before = line.test
        line.test = st.selectbox(
            _("Test"),
            list(tests),
            index=list(tests).index(line.test),
            format_func=lambda test: _(tests[test]),
            key=f"t-{line.uid}-{chosen}",
            label_visibility="collapsed",
        )
        if line.test != before and _shape(line.test) != _shape(before):
            line.value = None
        _value(line, tested, _)
        if line.test not in ("is_known", "is_unknown"):
            with st.popover(
                "",
                icon=":material/tune:",
                key=f"u-{line.uid}",
                help=_("When the value is not known"),
            ):
                line.unknown = st.checkbox(
                    _("Count people whose value is not known"),
                    value=line.unknown,
                    key=f"k-{line.uid}",
                )
        if st.button(
            "",
            key=f"d-{line.uid}",
            icon=":material/close:",
            type="tertiary",
            help=_("Remove the line"),
        ):
            group.items.remove(line)
            st.rerun()


def _shape(test: str) -> str:
    if test in ("in", "not_in"):
        return "several"
    if test in ("within_days", "more_than_days_ago"):
        return "days"
    return test if test in ("between", *NO_VALUE) else "one"


def _value(line: Line, tested: ProfileField, _: Words) -> None:
    """The widget that fits the test; sets the line's value, None while there is none."""
    key = f"v-{line.uid}-{line.field}-{_shape(line.test)}"
    hidden: dict[str, Any] = {"label_visibility": "collapsed"}
    if line.test in NO_VALUE:
        line.value = None
    elif line.test in ("within_days", "more_than_days_ago"):
        line.value = st.number_input(
            _("Days"), 0, 36_500, value=line.value, step=1, key=key, placeholder=_("days"), **hidden
        )
    elif tested.type in ("date", "timestamp"):
        _days(line, key, hidden, _)
    elif tested.type in ("integer", "number"):
        _numbers(line, tested, key, hidden, _)
    elif line.test in ("in", "not_in"):
        _several(line, tested, key, hidden, _)
    else:
        line.value = st.text_input(
            _("Text"), line.value or "", max_chars=200, key=key, live="400ms",
            placeholder=_("text"), **hidden,
        )  # fmt: skip


def _days(line: Line, key: str, hidden: dict[str, Any], _: Words) -> None:
    style = "DD/MM/YYYY"
    low, high = date(1900, 1, 1), date(2200, 12, 31)
    if line.test == "between":
        first, last = line.value or (None, None)
        line.value = [
            st.date_input(_("From"), first, low, high, key=f"{key}-1", format=style, **hidden),
            st.date_input(_("To"), last, low, high, key=f"{key}-2", format=style, **hidden),
        ]
    else:
        line.value = st.date_input(_("Day"), line.value, low, high, key=key, format=style, **hidden)


def _numbers(line: Line, tested: ProfileField, key: str, hidden: dict[str, Any], _: Words) -> None:
    whole = tested.type == "integer"
    percent = tested.unit == "share"
    unit = {"money": queries.pinned().currency, "share": "%", "days": _("days")}.get(
        str(tested.unit), _("number")
    )

    def ask(label: str, value: Any, suffix: str = "") -> Any:
        shown = None if value is None else (round(value * 100, 6) if percent else value)
        shown = None if shown is None else (int(shown) if whole else float(shown))
        typed = st.number_input(
            label, value=shown, step=1 if whole else None, key=key + suffix, placeholder=unit,
            format=None if whole else "%g", **hidden,
        )  # fmt: skip
        return typed if typed is None or not percent else typed / 100

    if line.test == "between":
        first, last = line.value or (None, None)
        line.value = [ask(_("From"), first, "-1"), ask(_("To"), last, "-2")]
    else:
        line.value = ask(_("Value"), line.value)


def _several(line: Line, tested: ProfileField, key: str, hidden: dict[str, Any], _: Words) -> None:
    counts = dict(queries.field_values(line.field))
    chosen = list(line.value or [])
    options = list(dict.fromkeys([*chosen, *counts, *tested.choices]))
    line.value = st.multiselect(
        _("Values"),
        options,
        default=chosen,
        format_func=lambda value: (
            f"{tested.choice(value, _.code)} ({_.number(counts[value])})"
            if value in counts
            else tested.choice(value, _.code)
        ),
        key=key,
        placeholder=_("choose or type"),
        accept_new_options=True,
        select_all=False,
        filter_mode="contains",
        **hidden,
    )


def _save(draft: Draft, _: Words) -> None:
    draft.name = st.text_input(
        _("Name"),
        draft.name,
        max_chars=120,
        key=f"name-{draft.uid}",
        placeholder=_("Name of the segment"),
    )
    draft.description = st.text_input(
        _("What it is for"), draft.description, max_chars=400, key=f"about-{draft.uid}",
        placeholder=_("Optional"),
    )  # fmt: skip
    ready = bool(draft.name.strip()) and not incomplete(draft.rule)
    if not st.button(
        _("Save the segment"),
        type="primary",
        key="save",
        disabled=not ready,
        help=None if ready else _("Give every line a value and the segment a name."),
    ):
        return
    try:
        saved = queries.store().save_segment(
            draft.name.strip(),
            normal(to_rule(draft.rule)),
            author=AUTHOR,
            at=now(),
            segment_id=draft.segment_id,
            description=draft.description.strip(),
            replaces=draft.rule_version,
        )
    except CohorteError as error:
        draw(div(str(error), cls="co-warning", role="alert"))
        return
    close_draft()
    st.toast(_("Saved."))
    _go(saved.segment_id)


render()
