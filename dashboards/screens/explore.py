"""Explore: any KPI, by any step of time, broken down, filtered, compared, down to its rows."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, cast, get_args

import polars as pl
import streamlit as st

from cohorte.i18n import N_
from cohorte.kpis import (
    Grain,
    Kpi,
    KpiValue,
    Period,
    dimensions,
    is_decomposable,
    is_followed,
    kpi,
)
from cohorte.kpis.definitions import MEASURES
from dashboards import address, exports, figures, periods, queries, reports, theme, vocabulary
from dashboards.charts import Plot
from dashboards.components import (
    Column,
    Heat,
    bar,
    card,
    cell,
    change_pill,
    choice,
    draw,
    empty,
    heat_table,
    legend,
    note,
    open_table,
    page_head,
    plot,
    strip,
    table,
    warning,
)
from dashboards.language import DATES, Words, inside, words
from dashboards.markup import span
from dashboards.queries import Filtered

AGAINST = {
    "previous": N_("The period before"),
    "year": N_("A year before"),
    "none": N_("Nothing"),
}
COHORTS = ("0", "6", "12", "24")
COURSES = 5
ROWS_SHOWN = 50
CUSTOMERS_SHOWN = 25


def render() -> None:
    _ = words()
    with page_head(
        _("Explore"), _("Any figure, as you need it. The address of the page keeps it.")
    ):
        pass
    chosen, period, key = _what_and_when(_)
    with st.container(key="by", horizontal=True, vertical_alignment="bottom", gap="small"):
        against_key = _against(_)
        dimension, filters = _by_and_filters(chosen, period, _)
    grain = _grain(chosen, period, _)
    against = {"previous": period.previous(), "year": period.year_before()}.get(against_key)
    now = queries.kpi_figures((chosen.kpi_id,), period, filters)[chosen.kpi_id]
    before = (
        queries.kpi_figures((chosen.kpi_id,), against, filters)[chosen.kpi_id] if against else None
    )
    _figure(chosen, now, before, period, against, _)
    drawn = _course(chosen, grain, period, against, dimension, filters, _)
    parts = pl.DataFrame()
    if dimension:
        parts = _parts(chosen, dimension, period, against, filters, _)
    _cohorts(chosen, grain, filters, _)
    _take_away(chosen, grain, period, filters, drawn, parts, key, _)
    _behind(chosen, period, filters, _)


def _what_and_when(_: Words) -> tuple[Kpi, Period, str]:
    known = [each.kpi_id for group in figures.grouped().values() for each in group]
    as_of = queries.pinned().as_of
    keys = [*periods.LABELS, *periods.LONGER, "custom"]
    names = periods.LABELS | periods.LONGER | {"custom": N_("Chosen dates")}
    with st.container(key="filters", horizontal=True, vertical_alignment="bottom", gap="small"):
        start = address.asked("kpi", known) or known[0]
        kpi_id = st.selectbox(
            _("KPI"),
            known,
            index=known.index(start),
            format_func=lambda each: (
                f"{kpi(each).title(_.code)} · {_(vocabulary.TEAMS_OF_KPIS[kpi(each).owner])}"
            ),
            key="kpi",
        )
        asked = address.asked("period", keys) or "12m"
        key = st.selectbox(
            _("Period"),
            keys,
            index=keys.index(asked),
            format_func=lambda each: _(names[each]),
            key="period",
        )
        address.keep("kpi", kpi_id, known[0])
        address.keep("period", key, "12m")
        if key != "custom":
            address.keep("from", None)
            address.keep("to", None)
            return kpi(kpi_id), periods.period(key, as_of), key
        first = _day(address.asked("from")) or as_of - timedelta(days=89)
        last = _day(address.asked("to")) or as_of
        picked = st.date_input(
            _("Dates"), (first, max(first, last)), key="dates", format=DATES, width=250
        )
        ends = picked if isinstance(picked, tuple) else (picked,)
        if len(ends) == 2:
            first, last = ends
        address.keep("from", first.isoformat())
        address.keep("to", last.isoformat())
        return kpi(kpi_id), Period(first, max(first, last) + timedelta(days=1)), key


def _day(written: str | None) -> date | None:
    try:
        return date.fromisoformat(written or "")
    except ValueError:
        return None


def _against(_: Words) -> str:
    keys = list(AGAINST)
    chosen = st.selectbox(
        _("Compared with"),
        keys,
        index=keys.index(address.asked("against", keys) or "year"),
        format_func=lambda each: _(AGAINST[each]),
        key="against",
    )
    address.keep("against", chosen, "year")
    return str(chosen)


def _grain(chosen: Kpi, period: Period, _: Words) -> Grain:
    grains = list(get_args(Grain))
    usual = periods.grain_for(period)
    with st.container(key="grains"):
        picked = choice(
            _("Step"),
            grains,
            lambda each: _(periods.GRAIN_NAMES[each]),
            "step",
            usual,
            widget=f"step-{usual}",
            is_labelled=True,
        )
    grain = figures.steps(chosen.kpi_id, cast(Grain, picked), period)
    if grain != picked:
        note(
            _(
                "Shown by {step}: the period is too long for smaller steps.",
                step=_(periods.GRAIN_NAMES[grain]).lower(),
            )
        )
    return grain


def _by_and_filters(chosen: Kpi, period: Period, _: Words) -> tuple[str | None, Filtered]:
    known = list(dimensions(chosen.kpi_id))
    if not known:
        note(_("This figure is known for the whole only."))
        return None, ()
    asked = address.asked("by", known)
    dimension = st.selectbox(
        _("Broken down by"),
        known,
        index=known.index(asked) if asked else None,
        format_func=lambda each: _(vocabulary.DIMENSIONS[each]),
        placeholder=_("Nothing"),
        key=f"by-{chosen.kpi_id}",
    )
    address.keep("by", dimension)
    held = [each for each in known if address.asked(f"in.{each}")]
    filtered = st.multiselect(
        _("Only"),
        known,
        default=held,
        format_func=lambda each: _(vocabulary.DIMENSIONS[each]),
        placeholder=_("Everything"),
        key=f"only-{chosen.kpi_id}",
    )
    filters: list[tuple[str, tuple[str | None, ...]]] = []
    for each in known:
        if each not in filtered:
            address.keep(f"in.{each}", None)
            continue
        values = [
            _coded(part) for part in queries.kpi_parts(chosen.kpi_id, each, _wide(chosen, period))
        ]
        before = (address.asked(f"in.{each}") or "").split("|")
        names = figures.names_of(each, _)
        picked = st.multiselect(
            _(vocabulary.DIMENSIONS[each]),
            values,
            default=[value for value in before if value in values],
            format_func=lambda code, of=each, called=names: vocabulary.part(  # type: ignore[misc]
                of, _decoded(code), _, called
            ),
            placeholder=_("All"),
            key=f"in-{chosen.kpi_id}-{each}",
        )
        address.keep(f"in.{each}", "|".join(picked) or "*")
        if picked:
            filters.append((each, tuple(_decoded(code) for code in picked)))
    return dimension, tuple(filters)


_UNKNOWN = "?"


def _coded(part: str | None) -> str:
    return _UNKNOWN if part is None else part


def _decoded(code: str) -> str | None:
    return None if code == _UNKNOWN else code


def _wide(chosen: Kpi, period: Period) -> Period:
    """The period and the one before, so that what was there then can be chosen too."""
    if MEASURES[chosen.kpi_id].span in ("whole", "year"):
        return period
    return Period(period.previous().start, period.end)


def _figure(
    chosen: Kpi,
    now: KpiValue,
    before: KpiValue | None,
    period: Period,
    against: Period | None,
    _: Words,
) -> None:
    moved = figures.moved(chosen, now, before)
    items: list[Any] = [
        (
            _until(period, _),
            _.figure(now.value, chosen.unit),
            figures.said_move(chosen, moved, _) if before is not None else "",
        )
    ]
    if before is not None and against is not None:
        items.append((_until(against, _), _.figure(before.value, chosen.unit)))
    if now.denominator is not None:
        items.append((_("Out of"), _.figure(now.denominator, "count")))
    items += figures.beside(chosen, now, _)
    with card("figure", _finding(chosen, now, moved, _), figures.explained(chosen, _)):
        if now.is_partial:
            warning(
                _(
                    "The period is not over: the data end on {day}.",
                    day=_.day(queries.pinned().as_of),
                )
            )
        if now.value is None:
            note(_("There is no figure: nothing to divide by, or nothing known of that time."))
        strip(items, boxed=False)


def _finding(chosen: Kpi, now: KpiValue, moved: float | None, _: Words) -> str:
    name, value = chosen.title(_.code), _.figure(now.value, chosen.unit)
    if moved is None:
        return f"{name}: {value}" if _.code == "en" else f"{name} : {value}"
    size = (
        _.difference(abs(moved), chosen.unit).lstrip("+")
        if chosen.unit in ("percent", "points")
        else _.magnitude(moved)
    )
    if abs(moved) < 0.0005:
        return _("{kpi} is unchanged at {value}", kpi=name, value=value)
    if moved > 0:
        return _("{kpi} is up by {size}, at {value}", kpi=name, size=size, value=value)
    return _("{kpi} is down by {size}, at {value}", kpi=name, size=size, value=value)


def _until(period: Period, _: Words) -> str:
    last = period.end - timedelta(days=1)
    if period.start == last:
        return _.day(last)
    return _("{first} to {last}", first=_.day(period.start), last=_.day(last))


def _course(
    chosen: Kpi,
    grain: Grain,
    period: Period,
    against: Period | None,
    dimension: str | None,
    filters: Filtered,
    _: Words,
) -> Plot | None:
    tokens = theme.tokens(st.context.theme.type)
    title = _(
        "{kpi} by {step}", kpi=chosen.title(_.code), step=_(periods.GRAIN_NAMES[grain]).lower()
    )
    with card("course", title):
        if dimension and MEASURES[chosen.kpi_id].span == "period":
            parts = list(queries.kpi_parts(chosen.kpi_id, dimension, period, filters))[:COURSES]
            if parts:
                names = figures.names_of(dimension, _)
                drawn = figures.parts_plot(
                    chosen, grain, period, dimension, parts, filters, names, tokens, _
                )
                legend(
                    [
                        (vocabulary.part(dimension, part, _, names), colour)
                        for part, colour in zip(parts, figures.charts.SERIES_COLOURS, strict=False)
                    ]
                )
                plot(drawn, title)
                return drawn
        names_ = (_("This period"), _("Compared with"))
        drawn = figures.course_plot(chosen, grain, period, against, filters, names_, tokens, _)
        if not drawn.rows:
            empty(_("Nothing is known of this period"), symbol="search", small=True)
            return None
        if against is not None:
            legend([(names_[0], tokens.now), (names_[1], tokens.ink_faint, "dash")])
        plot(drawn, title)
        return drawn


def _parts(
    chosen: Kpi,
    dimension: str,
    period: Period,
    against: Period | None,
    filters: Filtered,
    _: Words,
) -> pl.DataFrame:
    names = figures.names_of(dimension, _)
    found = queries.kpi_parts(chosen.kpi_id, dimension, period, filters)
    before = queries.kpi_parts(chosen.kpi_id, dimension, against, filters) if against else {}
    effects: dict[str | None, Decimal] = {}
    if against and is_decomposable(chosen.kpi_id):
        effects = {
            each.part: each.effect
            for each in queries.kpi_contributions(
                chosen.kpi_id, dimension, period, against, filters
            )
        }
    keys = list(dict.fromkeys([*found, *before]))
    top = max(
        (abs(float(each.value)) for each in found.values() if each.value is not None), default=0.0
    )
    total = sum((each.value or Decimal(0) for each in found.values()), Decimal(0))
    rows = []
    for part in keys:
        now, then = found.get(part), before.get(part)
        value = now.value if now else None
        moved = figures.moved(chosen, now, then)
        row: list[Any] = [
            span(vocabulary.part(dimension, part, _, names), cls="main"),
            _.figure(value, chosen.unit),
            bar(abs(float(value)) / top if value is not None and top else 0.0),
        ]
        if chosen.additive:
            row.append(_.share(value, total))
        if against:
            row.append(change_pill(moved, figures.up_is_good(chosen), _, chosen.unit))
        if effects:
            row.append(_.difference(effects.get(part), chosen.unit))
        rows.append(row)
    title = _(
        "{kpi} by {dimension}",
        kpi=chosen.title(_.code),
        dimension=inside(_(vocabulary.DIMENSIONS[dimension])),
    )
    with card("parts", title, _parts_say(chosen, dimension, effects, names, _)):
        columns = [
            Column(_(vocabulary.DIMENSIONS[dimension])),
            Column(_("Value"), "num first"),
            Column("", "wide"),
        ]
        if chosen.additive:
            columns.append(Column(_("Share"), "num hide"))
        if against:
            columns.append(Column(_("Change"), "num hide"))
        if effects:
            columns.append(Column(_("Adds to the change"), "num hide"))
        draw(table(columns, rows[:ROWS_SHOWN], title))
        if len(rows) > ROWS_SHOWN:
            note(
                _("The largest {count} are shown; the files hold all.", count=_.number(ROWS_SHOWN))
            )
    return pl.DataFrame(
        {
            _(vocabulary.DIMENSIONS[dimension]): [
                vocabulary.part(dimension, part, _, names) for part in keys
            ],
            _("Value"): [_plain(found.get(part)) for part in keys],
            _("Compared with"): [_plain(before.get(part)) for part in keys],
            _("Adds to the change"): [
                float(effects[part]) if part in effects else None for part in keys
            ],
        },
        strict=False,
    )


def _parts_say(
    chosen: Kpi,
    dimension: str,
    effects: dict[str | None, Decimal],
    names: dict[str, str],
    _: Words,
) -> str:
    """Which part moved the figure most."""
    whole = sum(effects.values(), Decimal(0))
    if not effects or not whole:
        return ""
    part, effect = max(effects.items(), key=lambda item: abs(item[1]))
    return _(
        "{part} moved it most: {effect} of {whole}",
        part=vocabulary.part(dimension, part, _, names),
        effect=_.difference(effect, chosen.unit),
        whole=_.difference(whole, chosen.unit),
    )


def _cohorts(chosen: Kpi, grain: Grain, filters: Filtered, _: Words) -> None:
    """The figure of those who first ordered in each of the last periods, then and ever since."""
    if not is_followed(chosen.kpi_id):
        return
    step: Grain = grain if grain in ("quarter", "year") else "month"
    with card(
        "cohorts",
        _("{kpi} by cohort", kpi=chosen.title(_.code)),
        _("Row: when they first ordered. Column: so many steps later. The last one still runs."),
    ):
        count = choice(
            _("Cohorts followed"),
            COHORTS,
            lambda each: _("None") if each == "0" else _.number(int(each)),
            "cohorts",
            "0",
            is_labelled=True,
        )
        if count == "0":
            return
        found = queries.kpi_cohorts(chosen.kpi_id, step, int(count), filters)
        later = [float(each.value or 0) for values in found.values() for each in values[1:]]
        top = max([*later, 0.0]) or 1.0
        rows = [
            (
                _.bucket(day, step, axis=True),
                [
                    Heat(
                        _.figure(each.value, chosen.unit, short=True),
                        float(each.value or 0) / top if after else None,
                        after == len(values) - 1,
                    )
                    for after, each in enumerate(values)
                ],
            )
            for day, values in found.items()
        ]
        head = [_("First order"), "0", *(f"+{after}" for after in range(1, int(count)))]
        draw(heat_table(head, rows, _("{kpi} by cohort", kpi=chosen.title(_.code))))


def _plain(value: KpiValue | None) -> float | None:
    return float(value.value) if value and value.value is not None else None


def _take_away(
    chosen: Kpi,
    grain: Grain,
    period: Period,
    filters: Filtered,
    drawn: Plot | None,
    parts: pl.DataFrame,
    key: str,
    _: Words,
) -> None:
    name = f"cohorte-{chosen.kpi_id}-{key}"

    def course() -> pl.DataFrame:
        found = queries.kpi_series(chosen.kpi_id, grain, period, filters)
        return pl.DataFrame(
            {
                _("Period"): [day for day, _each in found],
                chosen.title(_.code): [_plain(each) for _day, each in found],
            },
            strict=False,
        )

    def everything() -> bytes:
        sheets = {chosen.title(_.code): course()}
        if not parts.is_empty():
            sheets[_("Parts")] = parts
        return exports.as_xlsx(sheets)

    with st.container(key="take-away", horizontal=True, gap="small"):
        st.download_button(
            "CSV", lambda: exports.as_csv(course()), f"{name}.csv", "text/csv",
            on_click="ignore", icon=":material/download:", key="csv",
        )  # fmt: skip
        st.download_button(
            "Excel", everything, f"{name}.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            on_click="ignore", icon=":material/download:", key="xlsx",
        )  # fmt: skip
        if drawn is not None:
            st.download_button(
                "PNG", lambda: reports.png(drawn), f"{name}.png", "image/png",
                on_click="ignore", icon=":material/download:", key="png",
            )  # fmt: skip
        written, about = reports.record(), reports.about(_)
        st.download_button(
            "PDF", lambda: reports.as_pdf(written, about, _), f"{name}.pdf", "application/pdf",
            on_click="ignore", icon=":material/download:", key="pdf",
        )  # fmt: skip


def _behind(chosen: Kpi, period: Period, filters: Filtered, _: Words) -> None:
    asked = address.asked("rows", ["1"]) == "1"
    is_open = st.toggle(_("Show who and what is behind the figure"), asked, key="behind")
    address.keep("rows", "1" if is_open else None)
    if not is_open:
        return
    found = queries.kpi_rows(chosen.kpi_id, period, filters, 1000)
    if found.is_empty():
        empty(_("No row is behind this figure"), small=True)
        return
    if "customer_id" in found.columns:
        _customers(found, _)
    shown = [name for name in found.columns if found[name].null_count() < len(found)][:9]
    said = (
        _("The latest 1,000 rows; {count} are listed", count=_.number(min(ROWS_SHOWN, len(found))))
        if len(found) >= 1000
        else _.ngettext("{count} row", "{count} rows", len(found))
    )
    with card("rows", _("Rows"), said):
        draw(
            table(
                [
                    Column(name, "" if i < 1 else "hide" if i > 3 else "")
                    for i, name in enumerate(shown)
                ],
                [
                    [_value(row[name], _) for name in shown]
                    for row in found.head(ROWS_SHOWN).to_dicts()
                ],
                _("Rows"),
            )
        )


def _customers(found: pl.DataFrame, _: Words) -> None:
    amount = next(
        (n for n in ("reporting_net_amount", "reporting_amount", "amount") if n in found.columns),
        None,
    )
    grouped = (
        found.filter(pl.col("customer_id").is_not_null())
        .group_by("customer_id")
        .agg(pl.len().alias("rows"), *([pl.sum(amount).alias("amount")] if amount else []))
        .sort("amount" if amount else "rows", "customer_id", descending=[True, False])
    )
    if grouped.is_empty():
        return
    people = grouped.head(CUSTOMERS_SHOWN).to_dicts()
    called = queries.customer_names(tuple(each["customer_id"] for each in people))
    with card(
        "who", _.ngettext("{count} customer", "{count} customers", len(grouped)), _("In these rows")
    ):
        picked = open_table(
            "behind-people",
            [
                Column(_("Customer")),
                Column(_("Rows"), "num"),
                *([Column(_("Amount"), "num first")] if amount else []),
            ],
            [
                (
                    each["customer_id"],
                    [
                        cell(called.get(each["customer_id"], each["customer_id"])),
                        cell(_.number(each["rows"])),
                        *([cell(_.money(each["amount"]))] if amount else []),
                    ],
                )
                for each in people
            ],
            label=_("Customers"),
            path="customer?id=",
        )
    if picked:
        st.switch_page("screens/customer.py", query_params=address.link(id=picked))


def _value(value: Any, _: Words) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, date):
        return _.day(value)
    if isinstance(value, Decimal | float):
        return _.number(value, 2)
    return str(value)


render()
