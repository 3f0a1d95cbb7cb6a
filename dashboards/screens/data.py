"""Data: where the figures come from, what was rejected and why, and that totals tie."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import streamlit as st

from cohorte.clock import now
from dashboards import charts, identities, queries, theme, vocabulary
from dashboards.components import (
    Column,
    card,
    draw,
    empty,
    legend,
    page_head,
    pill,
    strip,
    table,
)
from dashboards.language import Words, words
from dashboards.lineage import show_lineage
from dashboards.markup import div, join, span, tag
from dashboards.vocabulary import named

STALE_AFTER = timedelta(days=3)
BREAKABLE_DOT = ".\u200b"


def render() -> None:
    _ = words()
    served = queries.pinned()
    with page_head(
        _("Data"),
        _(
            "Version {version} shows the data up to {day}; it was published on {at}.",
            version=served.info.version,
            day=_.day(served.as_of, "long"),
            at=_.at(served.info.published_at),
        ),
    ):
        pass
    sources = queries.sources()
    sizes = queries.table_sizes()
    accepted = sum(row["accepted"] or 0 for row in sources)
    rejected = sum(row["rejected"] or 0 for row in sources)
    gaps = [row for row in queries.reconciliation() if row["difference"]]
    strip(
        [
            (_("Customers"), _.number(sizes["customers"])),
            (_("from source records"), _.number(sizes["identities"])),
            (_("Orders"), _.number(sizes["orders"])),
            (_("Order lines"), _.number(sizes["order_lines"])),
            (_("Interactions"), _.number(sizes["interactions"])),
            (_("Rows accepted"), _.number(accepted)),
            (_("Rows rejected"), _.number(rejected), _rate(rejected, accepted + rejected, _)),
            *_duplicates(_),
        ]
    )
    _sources(sources, _)
    # Rejects stand beside the totals; that there are none is one line, above them.
    left, right = st.columns([7, 6], gap="small") if queries.rejects() else [nullcontext()] * 2
    with left:
        _rejects(_)
    with right:
        _reconciliation(gaps, _)
    show_lineage(_declared(), _)
    _odd_deliveries(_)
    if not queries.address_problems():
        _columns(_)
        return
    left, right = st.columns([7, 6], gap="small")
    with left:
        _columns(_)
    with right:
        _addresses(_)


def _rate(rejected: int, records: int, _: Words) -> str:
    if not records:
        return ""
    share = rejected / records
    return _.percent(share, 2 if 0 < share < 0.01 else 1)


def _duplicates(_: Words) -> list[tuple[str, str]]:
    """How many pairs wait for a person on *Identity*; nothing where the version cannot tell."""
    if not identities.is_known():
        return []
    return [(_("Duplicates waiting"), _.number(identities.counts()["review"]))]


def _sources(sources: list[queries.Row], _: Words) -> None:
    if not sources:
        empty(
            _("No delivery yet"),
            _("Each source appears here with its files once one has been loaded."),
            symbol="database",
        )
        return
    pinned_day = queries.workspace().settings.as_of is not None
    late = [s for s in sources if not pinned_day and _is_late(s["last_loaded_at"])]
    title = (
        _.ngettext(
            "{count} source has brought nothing for three days",
            "{count} sources have brought nothing for three days",
            len(late),
        )
        if late
        else _.ngettext("{count} source delivers", "{count} sources deliver", len(sources))
    )
    deliveries, again = queries.deliveries(), queries.delivered_again()
    tokens = theme.tokens(st.context.theme.type)
    titles = {source.source: source.title for source in _declared()}
    with card("sources", title, _("What each has brought since the beginning")):
        draw(
            table(
                [
                    Column(_("Source")),
                    Column(_("Last delivery"), "state"),
                    Column(_("Files"), "num hide"),
                    Column(_("Records"), "num first"),
                    Column(_("Accepted"), "num hide"),
                    Column(_("Rejected"), "num hide"),
                    Column(_("Delivered again"), "num hide"),
                ],
                [
                    [
                        join(
                            span(titles.get(row["source"]) or row["source"], cls="main"),
                            span(row["source"], cls="sub co-mono")
                            if titles.get(row["source"], row["source"]) != row["source"]
                            else None,
                        ),
                        _delivered(row["last_loaded_at"], pinned_day, _),
                        _.number(row["files"]),
                        _.number(row["records"]),
                        _.number(row["accepted"]),
                        join(
                            span(_.number(row["rejected"])),
                            span(_rate(row["rejected"], row["records"], _), cls="sub")
                            if row["rejected"]
                            else None,
                        ),
                        _again(again.get(row["source"]), _),
                    ]
                    for row in sources
                ],
                _("Sources"),
            )
        )
    if deliveries["loaded_date"].n_unique() > 1:
        with card("deliveries", _("Records by day of delivery")):
            names = sorted(deliveries["source"].unique().to_list())
            legend(list(zip(names, charts.source_colours(names), strict=True)))
            st.altair_chart(
                charts.deliveries(deliveries, _, tokens),
                theme=None,
                alt=_("Records by day of delivery"),
            )


def _again(row: queries.Row | None, _: Words) -> Any:
    """Rows that the source had brought before, and how many of them it changed."""
    if row is None or not (row["same"] or row["changed"]):
        return "–"
    return join(
        span(_.number(row["same"] + row["changed"])),
        span(_("{count} changed", count=_.number(row["changed"])), cls="sub"),
    )


def _declared() -> list[Any]:
    try:
        return queries.workspace().sources()
    except Exception:  # a broken source file must not hide what was loaded
        return []


def _is_late(at: datetime | None) -> bool:
    return at is None or now() - at.replace(tzinfo=UTC) > STALE_AFTER


def _delivered(at: datetime | None, pinned_day: bool, _: Words) -> Any:
    if at is None:
        return pill(_("never"), "warn")
    late = not pinned_day and _is_late(at)
    return span(pill(_.ago(at), "warn" if late else "good"), cls="", title=_.at(at))


def _rejects(_: Words) -> None:
    rejects = queries.rejects()
    if not rejects:
        with card("rejects", _("No row was rejected"), _("Every row of every file was accepted.")):
            pass
        return
    total = sum(row["rows_count"] for row in rejects)
    top = rejects[0]
    title = _(
        "{share} of the rejects: {reason} in {column}",
        share=_.share(top["rows_count"], total),
        reason=named(vocabulary.REJECT_REASONS, top["reason"], _).lower(),
        column=f"{top['source']}.{top['column_name'] or top['entity']}",
    )
    with card("rejects", title, _("Rejected rows by reason, with the first one as an example")):
        draw(
            table(
                [
                    Column(_("Reason")),
                    Column(_("Where"), "wide"),
                    Column(_("Rows"), "num first"),
                ],
                [
                    [
                        span(named(vocabulary.REJECT_REASONS, row["reason"], _), cls="main"),
                        join(
                            span(
                                BREAKABLE_DOT.join(
                                    filter(None, [row["source"], row["entity"], row["column_name"]])
                                ),
                                cls="co-mono",
                            ),
                            span(
                                _(
                                    "{file}, line {line}",
                                    file=row["example_file"],
                                    line=_.number(row["example_line"]),
                                ),
                                cls="sub wrap",
                            )
                            if row["example_file"]
                            else None,
                        ),
                        _.number(row["rows_count"]),
                    ]
                    for row in rejects[:12]
                ],
                _("Rejected rows"),
            )
        )
        with st.expander(_("See the rows of a reason"), key="rejected-rows"):
            chosen = st.selectbox(
                _("Reason"),
                rejects,
                format_func=lambda row: _reason(row, _),
                key="reason",
                label_visibility="collapsed",
            )
            _rejected_rows(chosen, _)


def _reason(row: queries.Row, _: Words) -> str:
    place = ".".join(filter(None, [row["source"], row["entity"], row["column_name"]]))
    reason = named(vocabulary.REJECT_REASONS, row["reason"], _)
    return f"{place} · {reason} · {_.number(row['rows_count'])}"


def _rejected_rows(reason: queries.Row, _: Words) -> None:
    """The latest rows of one reason, as they came."""
    rows = queries.rejected_rows(
        reason["source"], reason["entity"], reason["column_name"], reason["reason"]
    )
    draw(
        table(
            [Column(_("Where")), Column(_("Value")), Column(_("The row as it came"), "wide")],
            [
                [
                    join(
                        span(row["file_name"] or "–", cls="main wrap"),
                        span(_("line {line}", line=_.number(row["line"])), cls="sub")
                        if row["line"]
                        else None,
                    ),
                    span((row["value"] or "–")[:60], cls="co-mono wrap"),
                    span((row["row_text"] or "–")[:300], cls="co-mono wrap"),
                ]
                for row in rows
            ],
            _("Rejected rows"),
        )
    )
    draw(
        div(
            _("All of them: "),
            tag("code", f"cohorte sources rejects {reason['source']} --export", cls="co-code"),
            cls="co-note",
        )
    )


def _odd_deliveries(_: Words) -> None:
    """Days whose volume, columns or files call for a look."""
    days = queries.odd_deliveries()
    if not days:
        return
    far = [day for day in days if day["is_volume_unusual"]]
    title = (
        _.ngettext(
            "{count} delivery is far from its usual volume",
            "{count} deliveries are far from their usual volume",
            len(far),
        )
        if far
        else _("Deliveries that call for a look")
    )
    with card("odd", title, _("Usual is the average of 28 days, give or take three deviations")):
        draw(
            table(
                [
                    Column(_("Day")),
                    Column(_("Source")),
                    Column(_("Records"), "num first"),
                    Column(_("Usual"), "num hide"),
                    Column(_("What is odd"), "wide"),
                ],
                [
                    [
                        _.day(day["loaded_date"]),
                        span(day["source"], cls="main"),
                        _.number(day["records"]),
                        _range(day["usual_low"], day["usual_high"], _),
                        join(*_oddities(day, _)),
                    ]
                    for day in days[:12]
                ],
                _("Deliveries"),
            )
        )
        if any(day["new_columns_count"] for day in days):
            draw(
                div(
                    _("New columns wait to be mapped: "),
                    tag("code", "cohorte sources map", cls="co-code"),
                    _(", or the screen Add a source."),
                    cls="co-note",
                )
            )


def _range(low: float | None, high: float | None, _: Words) -> str:
    if low is None or high is None:
        return "–"
    return f"{_.number(low)} – {_.number(high)}"


def _oddities(day: queries.Row, _: Words) -> list[Any]:
    found = []
    if day["is_volume_unusual"]:
        low = day["records"] < day["usual_low"]
        found.append(pill(_("few records") if low else _("many records"), "warn"))
    if day["quarantined_count"]:
        files = _.ngettext(
            "{count} file put aside", "{count} files put aside", day["quarantined_count"]
        )
        found.append(pill(files, "bad"))
    if day["new_columns_count"]:
        found.append(
            pill(_.ngettext("{count} new column", "{count} new columns", day["new_columns_count"]))
        )
    if day["gone_columns_count"]:
        found.append(
            pill(
                _.ngettext(
                    "{count} column gone", "{count} columns gone", day["gone_columns_count"]
                ),
                "warn",
            )
        )
    return [part for pair in zip(found, [" "] * len(found), strict=True) for part in pair]


def _columns(_: Words) -> None:
    """How whole and how valid the values of a source are, column by column."""
    rows = queries.column_quality()
    if not rows:
        return
    invalid = [row for row in rows if row["validity"] is not None and row["validity"] < 1]
    title = (
        _.ngettext(
            "{count} column brought values that do not fit",
            "{count} columns brought values that do not fit",
            len(invalid),
        )
        if invalid
        else _("Every value delivered fits its column")
    )
    with card("columns", title, _("Completeness and validity, over all deliveries")):
        sources = sorted({(row["source"], row["entity"]) for row in rows})
        worst = min(invalid, key=lambda row: row["validity"]) if invalid else rows[0]
        chosen = st.selectbox(
            _("Source and kind of rows"),
            sources,
            index=sources.index((worst["source"], worst["entity"])),
            format_func=lambda pair: f"{pair[0]} · {pair[1]}",
            key="columns-of",
            label_visibility="collapsed",
        )
        draw(
            table(
                [
                    Column(_("Column")),
                    Column(_("Filled"), "num first", named=True),
                    Column(_("Filled lately"), "num hide"),
                    Column(_("Valid"), "num", named=True),
                ],
                [
                    [
                        span(row["column_name"], cls="main co-mono"),
                        _.percent(row["completeness"], 0),
                        _.percent(row["last_completeness"], 0),
                        "–" if row["validity"] is None else _rate_of(row["validity"], _),
                    ]
                    for row in rows
                    if (row["source"], row["entity"]) == chosen
                ],
                _("Completeness and validity, over all deliveries"),
            )
        )


def _rate_of(share: float, _: Words) -> str:
    """A share that is whole only when it is."""
    return _.percent(min(share, 0.9999) if share < 1 else 1, 2 if 0.99 < share < 1 else 0)


def _addresses(_: Words) -> None:
    """How many postal addresses can be right, and what is wrong with the others."""
    rows = queries.address_problems()
    total = sum(row["contacts"] for row in rows)
    if not total:
        return
    valid = sum(row["contacts"] for row in rows if row["address_problem"] is None)
    title = _("{share} of the postal addresses can be right", share=_.share(valid, total))
    with card("addresses", title, _("Checked against the places that the workspace has loaded")):
        draw(
            table(
                [Column(_("Address")), Column(_("Contacts"), "num first"), Column("", "num")],
                [
                    [
                        join(
                            span(named(vocabulary.ADDRESS_PROBLEMS, row["address_problem"], _))
                            if row["address_problem"]
                            else pill(_address_word(row["verdict"], _), "good"),
                            span(_("says {service}", service=row["checked_by"]), cls="sub")
                            if row["checked_by"]
                            else None,
                        ),
                        _.number(row["contacts"]),
                        _.share(row["contacts"], total),
                    ]
                    for row in rows
                ],
                _("Postal addresses"),
            )
        )


def _address_word(verdict: str | None, _: Words) -> str:
    return {"deliverable": _("deliverable"), "uncertain": _("nothing wrong, uncertain")}.get(
        verdict or "", _("nothing wrong")
    )


def _reconciliation(gaps: list[queries.Row], _: Words) -> None:
    rows = queries.reconciliation()
    if not rows:
        return
    title = (
        _.ngettext("{count} total does not tie", "{count} totals do not tie", len(gaps))
        if gaps
        else _.ngettext(
            "{count} total ties to its source", "{count} totals tie to their sources", len(rows)
        )
    )
    measures: dict[str, list[queries.Row]] = {}
    for row in rows:
        measures.setdefault(row["measure"], []).append(row)
    with card("ties", title, _("Published totals against the rows accepted from each source")):
        draw(
            table(
                [
                    Column(_("Total")),
                    Column(_("Published"), "num first"),
                    Column(_("Difference"), "num state"),
                ],
                [
                    [
                        join(
                            span(named(vocabulary.MEASURES, measure, _), cls="main"),
                            span(_.list(row["source"] for row in parts), cls="sub"),
                        ),
                        _total(sum((row["published_value"] for row in parts), Decimal(0)), _),
                        [
                            pill(f"{row['source']}: {_total(row['difference'], _)}", "bad")
                            for row in parts
                            if row["difference"]
                        ]
                        or pill(_("none"), "good"),
                    ]
                    for measure, parts in measures.items()
                ],
                _("Reconciliation"),
            )
        )


def _total(value: Decimal | None, _: Words) -> str:
    if value is None:
        return _.number(None)
    return _.number(value, 0 if value == value.to_integral_value() else 2)


render()
