"""Segments: the list, one segment's page, and the builder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import streamlit as st

from cohorte.clock import now
from cohorte.errors import CohorteError
from cohorte.i18n import N_
from cohorte.segments import (
    CHANNELS,
    FILE_FORMATS,
    Breakdown,
    Catalogue,
    Channel,
    Difference,
    FileFormat,
    Node,
    Reason,
    Segment,
    change_in_words,
    describe,
    export_audience,
    parse_rule,
    preflight,
    rule_json,
)
from cohorte.segments.describe import say_value
from cohorte.segments.library import definition_changes, referring, segment_yaml
from cohorte.segments.watch import StoppedError
from dashboards import patience, person, queries, segment_queries, theme, vocabulary
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
    sparkline,
    strip,
    table,
)
from dashboards.language import DATES, Words, words
from dashboards.markup import Html, div, span, tag
from dashboards.segment_builder import Builder, save_form
from dashboards.segment_draft import (
    MODES,
    Draft,
    Line,
    close_draft,
    current_draft,
    incomplete,
    open_draft,
)

NOBODY = "screen"
"""Who did what a screen did, where people do not sign in."""
COURSE = 40
"""How many runs the course of a size shows."""
SAMPLE_SIZE = 8
PAGE = 25
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
VIEWS = {
    "size": N_("Overview"),
    "who": N_("Who they are"),
    "members": N_("Members"),
    "why": N_("Why is someone in?"),
    "time": N_("Over time"),
    "rule": N_("Definition"),
}
KINDS = vocabulary.KINDS | {
    "purchase": N_("Purchase"),
    "cart_abandoned": N_("Abandoned cart"),
    "cart_ordered": N_("Cart that was ordered"),
    "opportunity_won": N_("Opportunity signed"),
}
BREAKDOWNS = (
    "rfm_segment", "lifecycle_status", "department_code", "city", "country_code", "party",
    "favourite_category", "favourite_channel", "lifetime_orders_count", "age",
)  # fmt: skip


def render() -> None:
    _ = words()
    st.html(f"<style>{(theme.ASSETS / 'segments.css').read_text(encoding='utf-8')}</style>")
    patience.show_here()
    asked = str(st.query_params.get("id") or "")
    with suppress(StoppedError):  # told where the answer would have been
        if asked == "new":
            _builder(current_draft() or _blank(), _)
        elif asked:
            _one(asked, _)
        else:
            _list(_)


def _blank() -> Draft:
    draft = open_draft("", {"all": []})
    draft.rule.items.append(Line("days_since_last_order", "less_or_equal", None))
    return draft


def _who_acts() -> str:
    """The person signed in, for the log."""
    return person.who() or NOBODY


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


def _segments() -> list[Segment]:
    """Every segment that reads; a file that does not is reported, and the store's still show."""
    segments, wrong = segment_queries.library()
    if wrong:
        draw(div(words().told(wrong), cls="co-warning", role="alert"))
    return segments


def _list(_: Words) -> None:
    with page_head(
        _("Segments"), _("Rules over what is known of customers and what they did. Sizes are live.")
    ):
        if st.button(_("New segment"), type="primary", icon=":material/add:", key="new"):
            close_draft()
            _go("new")
    segments = _segments()
    if not segments:
        empty(
            _("No segment yet"),
            _("Make the first one with “New segment”, or from a cell of the RFM map."),
            symbol="filter",
        )
        return
    shown = _narrowed(segments, _)
    catalogue = segment_queries.catalogue(segments)
    sentences = {each.segment_id: _sentence(each, catalogue, _) for each in shown}
    sizes = segment_queries.sizes_of(_plain_rules(shown, segments))
    histories = segment_queries.histories()
    moved = segment_queries.moved_since(queries.pinned().as_of - timedelta(days=7))
    base = queries.base_size()
    rows = []
    for segment in shown:
        size = sizes.get(segment.segment_id)
        points = [float(p.customers_count) for p in histories.get(segment.segment_id, [])]
        tags = " · ".join(segment.tags)
        rows.append(
            (
                segment.segment_id,
                [
                    cell(segment.name(_.code), sub=sentences[segment.segment_id]),
                    cell(_.number(size) if size is not None else "–"),
                    cell(
                        _.share(size, base) if size is not None else "–",
                        bar=(size or 0) / (base or 1),
                    ),
                    cell(_moved(segment.segment_id, moved, histories, _), course=points[-COURSE:]),
                    cell(
                        segment.owner or "",
                        pill=_("file") if segment.origin == "file" else _("screen"),
                        tone="" if segment.origin == "file" else "accent",
                        sub=" · ".join(part for part in (_freshness(segment, _), tags) if part),
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
            Column(_("Last 7 days"), "moved"),
            Column(_("Owner and tags"), "hide"),
        ],
        rows,
        label=_("Segments"),
        path="segments?id=",
    )
    if picked:
        close_draft()
        _go(picked)


def _narrowed(segments: list[Segment], _: Words) -> list[Segment]:
    """The segments that a search and tags leave."""
    tags = sorted({each for segment in segments for each in segment.tags})
    with st.container(key="segment-search", horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            _("Search"), max_chars=100, key="search-segments", live="400ms",
            placeholder=_("Name, owner or words of the rule"),
        )  # fmt: skip
        chosen = (
            st.multiselect(_("Tags"), tags, key="tags-segments", placeholder=_("All"))
            if tags
            else []
        )
    catalogue = segment_queries.catalogue(segments)
    found = []
    for segment in segments:
        held = " ".join(
            [segment.name(_.code), segment.owner or "", _sentence(segment, catalogue, _)]
        )
        if queries.folded(search.strip()) in queries.folded(held) and set(chosen) <= set(
            segment.tags
        ):
            found.append(segment)
    return found


def _sentence(segment: Segment, catalogue: Catalogue, _: Words) -> str:
    try:
        return describe(segment.rule, _.code, catalogue, queries.pinned().as_of)
    except CohorteError as error:
        return _.told(error.said)


def _plain_rules(shown: Sequence[Segment], segments: list[Segment]) -> dict[str, str]:
    """Rules that say everything themselves; those that cannot are left out."""
    found = {}
    for segment in shown:
        try:
            found[segment.segment_id] = segment_queries.plain(segment.rule, segments)
        except CohorteError:
            continue
    return found


def _freshness(segment: Segment, _: Words) -> str:
    """When its definition was last changed."""
    if segment.updated_at is None:
        return ""
    return _("changed {day}", day=_.day(_.local(segment.updated_at).date()))


def _moved(
    segment_id: str, moves: dict[str, tuple[int, int]], known: dict[str, Any], _: Words
) -> str:
    if segment_id not in known:
        return _("new: counted by the next run")
    if len(known[segment_id]) == 1:
        return _("first counted on {day}", day=_.day(known[segment_id][0].as_of))
    entered, gone = moves.get(segment_id, (0, 0))
    if not entered and not gone:
        return _("unchanged")
    if not gone:
        return _("+{entered} entered", entered=_.number(entered))
    if not entered:
        return _("−{gone} left", gone=_.number(gone))
    return _("+{entered} entered, −{gone} left", entered=_.number(entered), gone=_.number(gone))


# One segment


def _one(segment_id: str, _: Words) -> None:
    draft = current_draft()
    if draft is not None and draft.segment_id == segment_id:
        _builder(draft, _)
        return
    segments = _segments()
    segment = next((s for s in segments if s.segment_id == segment_id), None)
    _back(_)
    if segment is None:
        empty(_("There is no such segment"), _("It may have been archived."), symbol="filter")
        return
    with page_head(segment.name(_.code), segment.description(_.code)):
        if segment.origin == "store" and st.button(_("Edit"), icon=":material/edit:", key="edit"):
            _edit(segment, _)
        if st.button(_("Copy"), icon=":material/content_copy:", key="copy"):
            open_draft(
                _("{name} (copy)", name=segment.name(_.code)),
                rule_json(segment.rule),
                tags=list(segment.tags),
            )
            _go("new")
        if segment.origin == "store" and st.button(_("Archive"), type="tertiary", key="archive"):
            _archive(segment, segments, _)
    if segment.origin == "file":
        note(
            _(
                "This segment is kept as a file of the workspace, segments/{name}.yml: "
                "read-only here.",
                name=segment.segment_id,
            )
        )
    view = st.segmented_control(
        _("View"),
        list(VIEWS),
        default="size",
        required=True,
        format_func=lambda key: _(VIEWS[key]),
        key=f"view-{segment_id}",
        label_visibility="collapsed",
    )
    rule = segment_queries.plain(segment.rule, segments)
    match view:
        case "who":
            _who(segment, segments, rule, _)
        case "members":
            _members(rule, _)
        case "why":
            _why(segment, segments, _)
        case "time":
            _time(segment, _)
            _then(segment, rule, _)
        case "rule":
            _definition(segment, segments, _)
        case _:
            _results(rule, segment.rule, segments, _)
            _export(segment, segments, _)


def _edit(segment: Segment, _: Words) -> None:
    open_draft(
        segment.name(_.code),
        rule_json(segment.rule),
        description=segment.description(_.code),
        segment_id=segment.segment_id,
        rule_version=segment.rule_version,
        tags=list(segment.tags),
    )
    st.rerun()


def _archive(segment: Segment, segments: list[Segment], _: Words) -> None:
    """Take it out of use, unless another segment needs it."""
    needing = referring(segments, segment.segment_id)
    if needing:
        names = _.list([each.name(_.code) for each in needing])
        sentence = _("It stays: the segments {names} refer to it.", names=names)
        draw(div(sentence, cls="co-warning", role="alert"))
        return
    queries.store().archive_segment(segment.segment_id, who=_who_acts(), at=now())
    _go(None)


def _results(rule_text: str, rule: Node, segments: list[Segment], _: Words) -> None:
    """Size, share, reach, sentence and a masked sample of a rule."""
    found = segment_queries.rule_reach(rule_text)
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
        catalogue = segment_queries.catalogue(segments)
        draw(tag("p", describe(rule, _.code, catalogue, queries.pinned().as_of), cls="co-sentence"))
        _unknown(rule_text, _)
        if size:
            reach(found, size, vocabulary.REACHED_BY)
    if size:
        with card("sample", _("A few of them"), _("Masked: names, e-mails and phones in part")):
            draw(_sample_table(segment_queries.rule_sample(rule_text, SAMPLE_SIZE), _))


def _unknown(rule_text: str, _: Words) -> None:
    """For how many the answer hangs on a value that nobody knows."""
    told = segment_queries.rule_tally(rule_text)
    if told.unknown:
        note(
            _.ngettext(
                "For {count} customer the answer hangs on a value that is not known: {inside} "
                "counted in.",
                "For {count} customers the answer hangs on a value that is not known: {inside} "
                "counted in.",
                told.unknown,
                inside=_.number(told.counted_in),
            )
        )


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
    first = [f"{part[:1].upper()}{part[1:]}" for part in parts[:1]]
    return " ".join([*first, *(f"{part[0].upper()}." for part in parts[1:])]) or "–"


def masked_email(email: str | None) -> str:
    """First letter and domain: i•••@example.org."""
    mailbox, at, domain = (email or "").rpartition("@")
    return f"{mailbox[:1]}•••{at}{domain}" if at else ""


def masked_phone(phone: str | None) -> str:
    """The last two figures only."""
    return f"••• {phone[-2:]}" if phone else ""


# Who they are


def _who(segment: Segment, segments: list[Segment], rule: str, _: Words) -> None:
    """How members split and differ, and which other segments they are in."""
    catalogue = queries.catalogue()
    with card("split", _("How they split")):
        fields = [name for name in BREAKDOWNS if name in catalogue.fields]
        others = [each.name for each in catalogue if each.name not in fields]
        field = st.selectbox(
            _("By"),
            [*fields, *others],
            format_func=lambda name: catalogue[name].label(_.code),
            key="split-by",
        )
        split = segment_queries.rule_breakdown(rule, field)
        if split.members_count:
            draw(_split_table(split, catalogue, _))
        else:
            note(_("Nobody is in it."))
    with card(
        "differences",
        _("What sets them apart"),
        _("Compared with everyone else; the effect is small from 0.2, medium 0.5, large 0.8."),
    ):
        found = segment_queries.rule_differences(rule)
        if found:
            draw(_difference_table(found, catalogue, _))
        else:
            note(_("Nothing that is known tells them from the rest."))
    with card("overlap", _("Other segments they are in")):
        others_ = [each for each in segments if each.segment_id != segment.segment_id]
        names = {each.segment_id: each.name(_.code) for each in others_}
        chosen = st.multiselect(
            _("Segments to compare"), list(names), default=list(names)[:4], max_selections=9,
            format_func=lambda key: names[key], placeholder=_("Choose"), select_all=False,
            key="overlap-with",
        )  # fmt: skip
        if chosen:
            _overlap(segment, [each for each in others_ if each.segment_id in chosen], segments, _)


def _split_table(split: Breakdown, catalogue: Catalogue, _: Words) -> Html:
    tested = catalogue[split.field]

    def said(value: Any) -> str:
        if value is None:
            return _("not known")
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        if isinstance(value, str):
            return tested.choice(value, _.code)
        return say_value(value, tested, _.code, catalogue)

    rows = [
        [
            said(each.value),
            _.number(each.members_count),
            _share_bar(each.members_count, split.members_count, _),
            _.share(each.customers_count, split.customers_count),
        ]
        for each in split.slices
        if each.members_count
    ]
    columns = [
        Column(tested.label(_.code)),
        Column(_("Members"), "num first"),
        Column(_("Share of them"), "wide"),
        Column(_("Share of all"), "num", named=True),
    ]
    return table(columns, rows, _("How they split"))


def _share_bar(part: int, whole: int, _: Words) -> Html:
    return div(span(_.share(part, whole)), bar(part / (whole or 1)), cls="co-share")


def _difference_table(found: list[Difference], catalogue: Catalogue, _: Words) -> Html:
    rows = []
    for each in found:
        tested = catalogue[each.field]
        if each.kind == "share":
            what = _(
                "{field}: {value}",
                field=tested.label(_.code),
                value=_named(each.value, tested.choices, _),
            )
            one, rest = _.percent(each.members, 0), _.percent(each.rest, 0)
        else:
            what = _("{field}, on average", field=tested.label(_.code))
            one, rest = (
                say_value(round(value, 2), tested, _.code, catalogue)
                for value in (each.members, each.rest)
            )
        effect = ("+" if each.effect > 0 else "−") + _.number(abs(each.effect), 1)
        rows.append([what, one, rest, effect])
    columns = [
        Column(_("What")),
        Column(_("Members"), "num first"),
        Column(_("Others"), "num", named=True),
        Column(_("Effect"), "num", named=True),
    ]
    return table(columns, rows, _("What sets them apart"))


def _named(value: str, choices: Any, _: Words) -> str:
    if value in ("true", "false"):
        return _("yes") if value == "true" else _("no")
    return str(choices.get(value, {}).get(_.code, value))


def _overlap(segment: Segment, others: list[Segment], segments: list[Segment], _: Words) -> None:
    """Every combination that someone is in, as an UpSet plot written out."""
    compared = [segment, *others]
    rules = _plain_rules(compared, segments)
    found = segment_queries.rule_overlap(tuple(rules.items()))
    names = {each.segment_id: each.name(_.code) for each in compared}
    largest = max((each.customers_count for each in found.intersections), default=1)
    mine_first = sorted(
        found.intersections, key=lambda each: segment.segment_id not in each.segments
    )
    rows = [
        div(
            div(
                [
                    tag("i", cls="on" if key in each.segments else "", title=names[key])
                    for key in rules
                ],
                cls="dots",
            ),
            bar(each.customers_count / largest),
            span(_.number(each.customers_count), cls="v"),
            span(" + ".join(names[key] for key in each.segments), cls="who"),
            cls="row" + (" mine" if segment.segment_id in each.segments else ""),
            role="listitem",
        )
        for each in mine_first[:15]
    ]
    draw(div(rows, cls="co-upset", role="list"))


# Members


def _members(rule: str, _: Words) -> None:
    size = segment_queries.rule_reach(rule)[""]
    if not size:
        empty(_("Nobody meets the rule"), symbol="filter", small=True)
        return
    pages = -(-size // PAGE)
    page = st.number_input(_("Page"), 1, pages, 1, key="members-page") if pages > 1 else 1
    rows = [
        (
            str(row["customer_id"]),
            [
                cell(row["full_name"] or _("Without a name"), sub=row["email"]),
                cell(_.money(row["lifetime_net_revenue"], 0)),
                cell(row["city"] or "–"),
                cell(_.day(row["last_order_date"]) if row["last_order_date"] else "–"),
            ],
        )
        for row in segment_queries.rule_members(rule, PAGE, (int(page) - 1) * PAGE)
    ]
    picked = open_table(
        "segment-members",
        [
            Column(_("Customer"), "sentence"),
            Column(_("Revenue"), "num first"),
            Column(_("City"), "wide"),
            Column(_("Last order"), "hide"),
        ],
        rows,
        label=_("Members"),
        path="customer?id=",
    )
    if picked:
        st.switch_page("screens/customer.py", query_params={"id": picked})


# Why


def _why(segment: Segment, segments: list[Segment], _: Words) -> None:
    with card("why", _("Why is someone in, or not?")):
        asked = st.text_input(
            _("Customer"), max_chars=100, key="why-customer",
            placeholder=_("Name, e-mail, phone or id, such as {example}",
                          example=_some_member(segment, segments)),
        ).strip()  # fmt: skip
        if not asked:
            note(_("Each part of the rule is told with the value and the records behind it."))
            return
        customer_id, name = _whom(asked, _)
        try:
            reason, changes = segment_queries.reasons(segment.rule, segments, customer_id, _.code)
        except StoppedError:
            raise
        except CohorteError as error:
            draw(div(_.told(error.said), cls="co-warning", role="alert"))
            return
        verdict = _("{customer} is in the segment.") if reason.is_met else _(
            "{customer} is not in the segment."
        )  # fmt: skip
        draw(
            tag(
                "p",
                verdict.format(customer=f"{name} ({customer_id})" if name else customer_id),
                cls="co-sentence",
            )
        )
        draw(tag("ul", _reason(reason, _), cls="co-why"))
        if changes:
            draw(
                tag("p", _("The smallest change that would bring them in:"), cls="co-note"),
                tag(
                    "ul",
                    [tag("li", change_in_words(change, _.code)) for change in changes],
                    cls="co-plain-list",
                ),
            )


def _whom(asked: str, _: Words) -> tuple[str, str]:
    """The id of the customer who is meant, and what they are called; of several, the one chosen."""
    _total, found = queries.customers(asked, None, None, None, None, "name", 1)
    names = {
        str(row["customer_id"]): " · ".join(
            part for part in (row["full_name"], row["email"] or row["phone"], row["city"]) if part
        )
        for row in found
    }
    chosen = asked if asked in names else next(iter(names), asked)
    if len(names) > 1 and asked not in names:
        chosen = st.selectbox(
            _("Of several, whom?"),
            list(names),
            format_func=lambda customer_id: f"{names[customer_id]} · {customer_id}",
            key="why-whom",
        )
    return chosen, names.get(chosen, "").partition(" · ")[0]


def _some_member(segment: Segment, segments: list[Segment]) -> str:
    found = segment_queries.rule_members(segment_queries.plain(segment.rule, segments), 1, 0)
    return str(found[0]["customer_id"]) if found else "C1"


def _reason(reason: Reason, _: Words) -> Html:
    mark = span("✓" if reason.is_met else "✗", cls="yes" if reason.is_met else "no")
    state = span(_("met") if reason.is_met else _("not met"), cls="co-sr")
    group = next((mode for mode in MODES if getattr(reason.rule, mode, None) is not None), None)
    said = span(_(MODES[group]) if group else reason.said, cls="said")
    value = span(reason.value, cls="value" if reason.is_known else "value unknown")
    rows = [
        tag(
            "li",
            " · ".join(
                part
                for part in (
                    _.day(row.day),
                    _(KINDS.get(row.kind, row.kind.replace("_", " "))),
                    row.text,
                    "" if row.amount is None else _.money(row.amount),
                    f"{row.source} {row.record_id}",
                )
                if part
            ),
        )
        for row in reversed(list(reason.rows)[-6:])
    ]
    more = reason.rows_count - len(rows)
    if more > 0:
        rows.append(tag("li", _.ngettext("and {count} more", "and {count} more", more)))
    return tag(
        "li",
        div(mark, state, said, value if reason.value else None, cls="line"),
        tag("ul", rows, cls="rows") if rows else None,
        tag("ul", [_reason(part, _) for part in reason.parts]) if reason.parts else None,
    )


# Over time


def _time(segment: Segment, _: Words) -> None:
    points = segment_queries.histories().get(segment.segment_id, [])
    if not points:
        empty(
            _("No run has counted it yet"),
            _("Who is in, who entered and who left is kept by each run."),
            symbol="filter",
            small=True,
        )
        return
    with card("course", _("Size, run by run")):
        draw(sparkline([float(point.customers_count) for point in points]))
        rows = [
            [
                _.day(point.as_of),
                _.number(point.customers_count),
                f"+{_.number(point.entered)}",
                f"−{_.number(point.left)}",
                point.version,
            ]
            for point in reversed(points[-60:])
        ]
        columns = [
            Column(_("Day")),
            Column(_("Customers"), "num first"),
            Column(_("Entered"), "num", named=True),
            Column(_("Left"), "num", named=True),
            Column(_("Version"), "hide"),
        ]
        draw(table(columns, rows, _("Size, run by run")))


def _then(segment: Segment, rule: str, _: Words) -> None:
    """How many there were on a day of the past: counted anew, and as the run found it then."""
    today = queries.pinned().as_of
    with card("then", _("On a day of the past")):
        day = st.date_input(
            _("Day"), None, today - timedelta(days=3650), today, format=DATES,
            key=f"then-{segment.segment_id}",
        )  # fmt: skip
        if day is None:
            note(_("Choose a day to see who would have been in, from the facts dated by then."))
            return
        only_delivered = st.toggle(
            _("Leave out what was delivered later"), key=f"late-{segment.segment_id}"
        )
        try:
            anew = _.number(segment_queries.size_on(rule, day, day if only_delivered else None))
        except StoppedError:
            raise
        except CohorteError as error:
            anew = "–"
            note(_("Cannot be counted anew for that day: {reason}", reason=_.told(error.message)))
        if only_delivered and (first := segment_queries.first_delivery()) and first > day:
            note(_("The first delivery came on {day}: nothing was known before.", day=_.day(first)))
        known = segment_queries.histories().get(segment.segment_id, [])
        frozen = (
            _.number(segment_queries.frozen_size(segment.segment_id, day))
            if known and known[0].as_of <= day
            else _("no run yet")
        )
        strip(
            [
                (
                    _("Counted anew"),
                    anew,
                    _("from the facts delivered by then")
                    if only_delivered
                    else _("from the facts dated by then"),
                ),
                (_("As the run found it"), frozen, _("whatever became known later")),
            ],
            boxed=False,
        )


# Definition


def _definition(segment: Segment, segments: list[Segment], _: Words) -> None:
    with card("yaml", _("As a file of the workspace")):
        st.code(segment_yaml(segment), language=None, wrap_lines=True)
    needing = referring(segments, segment.segment_id)
    if needing:
        names = _.list([each.name(_.code) for each in needing])
        note(_("Segments that refer to it: {names}.", names=names))
    if segment.origin == "store":
        _versions(segment, segments, _)
    _exports(segment, _)


def _versions(segment: Segment, segments: list[Segment], _: Words) -> None:
    """Its definitions, what each changed, and bringing one back."""
    definitions = queries.store().segment_definitions(segment.segment_id)
    with card("versions", _("Definitions it has had")):
        for place, definition in enumerate(definitions):
            when = _.at(definition.saved_at)
            with st.expander(
                _(
                    "{number}: {author}, {when}",
                    number=definition.rule_version,
                    author=definition.author,
                    when=when,
                )
            ):
                rule = parse_rule(definition.rule)
                catalogue = segment_queries.catalogue(segments)
                draw(
                    tag(
                        "p",
                        describe(rule, _.code, catalogue, queries.pinned().as_of),
                        cls="co-sentence",
                    )
                )
                if place + 1 < len(definitions):
                    before = parse_rule(definitions[place + 1].rule)
                    lines = [
                        div(f"{sign} {line}", cls="new" if sign == "+" else "old")
                        for sign, line in definition_changes(before, rule)
                    ]
                    draw(div(lines, cls="co-diff"))
                if place and st.button(
                    _("Restore this definition"), key=f"restore-{definition.rule_version}"
                ):
                    queries.store().save_segment(
                        definition.name,
                        definition.rule,
                        author=_who_acts(),
                        at=now(),
                        segment_id=segment.segment_id,
                        description=definition.description,
                    )
                    st.toast(_("Restored."))
                    st.rerun()


def _exports(segment: Segment, _: Words) -> None:
    entries = queries.store().list_exports(segment.segment_id, limit=20)
    if not entries:
        return
    with card("exports", _("Files that left")):
        rows = [
            [
                _.at(entry.exported_at),
                _.number(entry.rows_count),
                _(vocabulary.CHANNELS.get(entry.channel, entry.channel)),
                entry.purpose,
                entry.who,
            ]
            for entry in entries
        ]
        columns = [
            Column(_("When")),
            Column(_("People"), "num first"),
            Column(_("Channel"), "num", named=True),
            Column(_("Purpose"), "num", named=True),
            Column(_("By"), "hide"),
        ]
        draw(table(columns, rows, _("Files that left")))


# Export


def _export(segment: Segment, segments: list[Segment], _: Words) -> None:
    purposes = queries.purposes() or [queries.workspace().settings.consent_purpose]
    usual = queries.workspace().settings.consent_purpose
    with card(
        "export",
        _("Export"),
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
            file_format: FileFormat = st.selectbox(
                _("Format"), FILE_FORMATS, format_func=str.upper, key="export-format"
            )
        rule = segment_queries.plain(segment.rule, segments)
        reached = segment_queries.rule_audience(rule, channel, purpose)
        checked = preflight(queries.workspace(), queries.store(), reached, segment, now())
        strip(
            [
                (_("In the segment"), _.number(reached.members_count)),
                *[
                    (_(REMOVED[why]).capitalize(), f"−{_.number(n)}")
                    for why, n in reached.removed.items()
                    if n
                ],
                (_("In the file"), _.number(reached.contactable_count)),
            ],
            boxed=False,
        )
        if checked.last is not None and checked.entered is not None:
            note(
                _(
                    "Since the export of {day}: {entered} more, {gone} fewer.",
                    day=_.day(_.local(checked.last.exported_at).date()),
                    entered=_.number(checked.entered),
                    gone=_.number(checked.gone),
                )
            )
        for other, shared in checked.lately[:3]:
            note(
                _(
                    "{shared} of them were in an export of “{name}” on {day}.",
                    shared=_.number(shared),
                    name=other.segment_name,
                    day=_.day(_.local(other.exported_at).date()),
                )
            )
        if not reached.contactable_count:
            note(
                _(
                    "Nobody may be contacted on this channel for this purpose: "
                    "there is nothing to export."
                )
            )
            return
        st.download_button(
            _.ngettext(
                "Download {count} line", "Download {count} lines", reached.contactable_count
            ),
            data=_exporter(segment, segments, channel, purpose, columns, file_format, _),
            file_name=(
                f"{re.sub(r'[^A-Za-z0-9_-]+', '-', segment.segment_id)}_{channel}.{file_format}"
            ),
            mime=MIME[file_format],
            type="primary",
            icon=":material/download:",
            on_click="ignore",
            key="export",
        )


MIME: dict[FileFormat, str] = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}


def _exporter(
    segment: Segment,
    segments: list[Segment],
    channel: Channel,
    purpose: str,
    columns: list[str],
    file_format: FileFormat,
    _: Words,
) -> Any:
    """What makes the file when it is asked for, from the version that the page shows."""
    space, store = queries.workspace(), queries.store()
    people, version = segment_queries.population(segments), queries.pinned().info.version
    who = _who_acts()

    def make() -> bytes:
        path, _export_entry = export_audience(
            space, store, people, segment, channel, purpose, who=who, at=now(),
            columns=columns, file_format=file_format, version=version, language=_.code,
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
    builder = Builder(draft, _segments(), _)
    left, right = st.columns([8, 5], gap="small")
    with left:
        with card("rule"):
            builder.edit()
        with card("save"):
            saved = save_form(builder, _who_acts())
    if saved is not None:
        close_draft()
        st.toast(_("Saved."))
        _go(saved)
    with right:
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
        try:
            _results(builder.plain(), builder.rule(), builder.segments, _)
        except StoppedError:
            raise
        except CohorteError as error:
            draw(div(_.told(error.said), cls="co-warning", role="alert"))


render()
