"""Data: where the figures come from, what was rejected and why, and that totals tie."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import streamlit as st

from cohorte.clock import now
from dashboards import charts, queries, theme, vocabulary
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
from dashboards.markup import join, span
from dashboards.vocabulary import named

STALE_AFTER = timedelta(days=3)


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
        ]
    )
    _sources(sources, _)
    left, right = st.columns([7, 6], gap="small")
    with left:
        _rejects(_)
    with right:
        _reconciliation(gaps, _)


def _rate(rejected: int, records: int, _: Words) -> str:
    if not records:
        return ""
    share = rejected / records
    return _.percent(share, 2 if 0 < share < 0.01 else 1)


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
    deliveries = queries.deliveries()
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
                                ".".join(
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
