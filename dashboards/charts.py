"""Charts: each takes a frame and the language, and returns a chart ready to be placed.

Titles stand outside, in the page. Every text is written here by `Words`, so that charts and
pages write figures the same way. Colours are Okabe and Ito's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import altair as alt
import polars as pl

from dashboards.language import Words
from dashboards.theme import OKABE_ITO, Tokens

Drawn = alt.Chart | alt.LayerChart
Spec = dict[str, Any]
AnyDrawn = TypeVar("AnyDrawn", alt.Chart, alt.LayerChart)


def nice_ticks(top: float, count: int = 4) -> list[float]:
    """Round values from 0 up to at least `top`, about `count` of them."""
    if top <= 0:
        return [0.0, 1.0]
    rough = top / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.9)
    return [i * step for i in range(math.ceil(top / step - 1e-9) + 1)]


def value_axis(ticks: list[float], labels: list[str]) -> alt.Axis:
    """An axis whose labels are written by us: Vega knows neither language nor currency."""
    written = {str(round(i, 6)): label for i, label in enumerate(labels)}
    step = ticks[1] - ticks[0]
    return alt.Axis(
        values=ticks,
        labelExpr=f"{json.dumps(written)}[toString(round(datum.value / {step!r}))]",
        title=None,
    )


def styled(chart: AnyDrawn, tokens: Tokens) -> AnyDrawn:
    """The look that all charts share."""
    font = "Inter, sans-serif"
    return (
        chart.properties(padding={"left": 0, "right": 2, "top": 6, "bottom": 0})
        .configure(background="transparent", font=font, aria=False)
        .configure_mark(aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelFont=font,
            labelFontSize=12,
            labelColor=tokens.ink_faint,
            labelPadding=8,
            gridColor=tokens.line,
            gridWidth=1,
            domain=False,
            ticks=False,
        )
        .configure_axisX(grid=False, labelPadding=6)
    )


def revenue_by_month(frame: pl.DataFrame, words: Words, tokens: Tokens) -> Drawn:
    """Bars of net revenue a month, with a tick where the same month was a year before and a dashed
    line at the month's objective.

    `frame`: month, net_revenue, last_year and objective (may be null), is_partial; at most 13
    months.
    """
    _ = words
    ticks = nice_ticks(
        max([1.0, *frame.select("net_revenue", "last_year", "objective").max().row(0)], key=_size)
    )
    drawn = frame.with_columns(
        pl.Series("label", [month_label(m, i, words) for i, m in enumerate(frame["month"])]),
        pl.Series("shade", ["partial" if p else "whole" for p in frame["is_partial"]]),
        pl.Series("at", [words.month(m) for m in frame["month"]]),
        pl.Series("said", [words.money(v, 0) for v in frame["net_revenue"]]),
        pl.Series(
            "said_before",
            [
                words.money(v, 0) if v is not None else words.number(None)
                for v in frame["last_year"]
            ],
        ),
        pl.Series(
            "said_change",
            [
                words.change(v / b - 1) if b else words.number(None)
                for v, b in zip(frame["net_revenue"], frame["last_year"], strict=True)
            ],
        ),
        pl.Series("said_objective", [words.money(v, 0) for v in frame["objective"]]),
    ).drop("month")
    order = drawn["label"].to_list()
    tooltip = [
        alt.Tooltip("at:N", title=_("Month")),
        alt.Tooltip("said:N", title=_("Net revenue")),
        alt.Tooltip("said_before:N", title=_("A year before")),
        alt.Tooltip("said_change:N", title=_("Change")),
        *_told_objective(frame, _),
    ]
    base = alt.Chart(drawn).encode(x=_month_bands(order), tooltip=tooltip)
    scale = alt.Scale(domain=[0, ticks[-1]], nice=False)
    bars = base.mark_bar(cornerRadiusTopLeft=3, cornerRadiusTopRight=3).encode(
        y=alt.Y(
            "net_revenue:Q",
            scale=scale,
            axis=value_axis(ticks, [words.short_money(t) for t in ticks]),
        ),
        color=alt.value(tokens.now),
        opacity=alt.Opacity(
            "shade:N", scale=alt.Scale(domain=["whole", "partial"], range=[1, 0.45]), legend=None
        ),
    )
    thickness = ticks[-1] * 0.006
    before = (
        base.transform_filter("isValid(datum.last_year)")
        .transform_calculate(
            low=f"datum.last_year - {thickness}", high=f"datum.last_year + {thickness}"
        )
        .mark_bar(cornerRadius=1)
        .encode(y=alt.Y("low:Q", scale=scale), y2="high:Q", color=alt.value(tokens.ink))
    )
    layers = (bars, before, _objectives(drawn, order, scale, tokens))
    return styled(alt.layer(*layers).properties(height=260), tokens)


def _size(value: float | None) -> float:
    return value or 0.0


def _month_bands(labels: list[str]) -> alt.X:
    """Months side by side, as `month_label` names them."""
    return alt.X(
        "label:N",
        sort=labels,
        axis=month_axis(),
        title=None,
        scale=alt.Scale(paddingInner=0.32, paddingOuter=0.16),
    )


def _told_objective(frame: pl.DataFrame, words: Words) -> list[alt.Tooltip]:
    """The line of a tooltip that says the month's objective, where any month has one."""
    if frame["objective"].null_count() == len(frame):
        return []
    return [alt.Tooltip("said_objective:N", title=words("Objective"))]


def _objectives(
    drawn: pl.DataFrame, labels: list[str], scale: alt.Scale, tokens: Tokens
) -> alt.Chart:
    """A dashed line over the width of each month that has an objective."""
    return (
        alt.Chart(drawn.filter(pl.col("objective").is_not_null()))
        .mark_rule(strokeDash=[4, 3], strokeWidth=2, color=tokens.third)
        .encode(
            x=_month_bands(labels).bandPosition(0),
            x2=alt.X2("label:N", bandPosition=1),
            y=alt.Y("objective:Q", scale=scale),
        )
    )


def month_axis() -> alt.Axis:
    """Months on two lines: the month, and the year under the first of each year."""
    return alt.Axis(
        title=None,
        labelAngle=0,
        labelExpr="split(datum.label, '|')",
        labelOverlap="parity",
        labelLineHeight=15,
    )


def month_label(month: date, index: int, words: Words) -> str:
    """The month's short name; with the year for the first shown and every January."""
    year = str(month.year) if index == 0 or month.month == 1 else ""
    return f"{words.short_month(month)}|{year or chr(0x200B) * (index + 1)}"


def new_and_returning(frame: pl.DataFrame, words: Words, tokens: Tokens) -> Drawn:
    """Stacked bars: customers of a month who bought for the first time, and the others.

    A dashed line stands at the month's objective.

    `frame`: month, new_customers, returning_customers, objective (may be null), is_partial.
    """
    _ = words
    totals = (frame["new_customers"] + frame["returning_customers"]).to_list()
    ticks = nice_ticks(max([1, *totals, *frame["objective"]], key=_size))
    kinds = {"returning_customers": _("Returning"), "new_customers": _("New")}
    label = [month_label(m, i, words) for i, m in enumerate(frame["month"])]
    drawn = (
        frame.with_columns(
            pl.Series("label", label),
            pl.Series("at", [words.month(m) for m in frame["month"]]),
            pl.Series("total", totals),
            pl.Series("said_objective", [words.number(v) for v in frame["objective"]]),
        )
        .unpivot(
            on=list(kinds),
            index=["label", "at", "is_partial", "total", "objective", "said_objective"],
            variable_name="kind",
            value_name="customers",
        )
        .with_columns(
            pl.col("kind").replace_strict(kinds).alias("kind_name"),
            pl.col("kind").replace_strict({k: i for i, k in enumerate(kinds)}).alias("place"),
        )
    )
    drawn = drawn.with_columns(
        pl.Series("said", [words.number(v) for v in drawn["customers"]]),
        pl.Series(
            "share",
            [
                words.percent(v / t if t else None, 0)
                for v, t in zip(drawn["customers"], drawn["total"], strict=True)
            ],
        ),
    )
    scale = alt.Scale(domain=[0, ticks[-1]], nice=False)
    bars = (
        alt.Chart(drawn)
        .mark_bar(cornerRadius=2)
        .encode(
            x=_month_bands(label),
            y=alt.Y(
                "customers:Q",
                stack="zero",
                scale=scale,
                axis=value_axis(ticks, [words.short_number(t) for t in ticks]),
            ),
            color=alt.Color(
                "kind_name:N",
                scale=alt.Scale(domain=list(kinds.values()), range=[tokens.now, tokens.second]),
                legend=None,
            ),
            order=alt.Order("place:Q"),
            opacity=alt.condition("datum.is_partial", alt.value(0.45), alt.value(1)),
            tooltip=[
                alt.Tooltip("at:N", title=_("Month")),
                alt.Tooltip("kind_name:N", title=_("Customers")),
                alt.Tooltip("said:N", title=_("Number")),
                alt.Tooltip("share:N", title=_("Share")),
                *_told_objective(frame, _),
            ],
        )
    )
    aims = _objectives(drawn.filter(pl.col("place") == 0), label, scale, tokens)
    return styled(alt.layer(bars, aims).properties(height=260), tokens)


SOURCE_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A93A2"]


def deliveries(frame: pl.DataFrame, words: Words, tokens: Tokens) -> Drawn:
    """Stacked bars of records by day of delivery and source.

    `frame`: source, loaded_date, records, rejected; the latest 60 days are drawn.
    """
    _ = words
    days = sorted(frame["loaded_date"].unique().to_list())[-60:]
    sources = sorted(frame["source"].unique().to_list())
    drawn = frame.filter(pl.col("loaded_date").is_in(days))
    ticks = nice_ticks(drawn.group_by("loaded_date").agg(pl.sum("records"))["records"].max(), 3)
    drawn = drawn.with_columns(
        pl.Series("said_day", [words.day(day) for day in drawn["loaded_date"]]),
        pl.Series("said", [words.number(n) for n in drawn["records"]]),
        pl.Series("said_rejected", [words.number(n) for n in drawn["rejected"]]),
        pl.col("loaded_date").cast(pl.String).alias("day"),
    ).drop("loaded_date")
    shown = [day.isoformat() for day in days[:: max(1, -(-len(days) // 7))]]
    names = json.dumps({day: words.day_month(date.fromisoformat(day)) for day in shown})
    chart = (
        alt.Chart(drawn)
        .mark_bar(cornerRadius=1)
        .encode(
            x=alt.X(
                "day:O",
                sort=[day.isoformat() for day in days],
                axis=alt.Axis(
                    values=shown,
                    labelExpr=f"{names}[datum.value]",
                    labelAngle=0,
                    title=None,
                    labelOverlap=True,
                ),
                scale=alt.Scale(paddingInner=0.25),
            ),
            y=alt.Y(
                "records:Q",
                stack="zero",
                scale=alt.Scale(domain=[0, ticks[-1]], nice=False),
                axis=value_axis(ticks, [words.short_number(tick) for tick in ticks]),
            ),
            color=alt.Color(
                "source:N",
                scale=alt.Scale(domain=sources, range=source_colours(sources)),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("source:N", title=_("Source")),
                alt.Tooltip("said_day:N", title=_("Day")),
                alt.Tooltip("said:N", title=_("Records")),
                alt.Tooltip("said_rejected:N", title=_("Rejected")),
            ],
        )
        .properties(height=170)
    )
    return styled(chart, tokens)


def source_colours(sources: list[str]) -> list[str]:
    """One colour per source, in order; from the seventh on, grey."""
    return [SOURCE_COLOURS[min(i, len(SOURCE_COLOURS) - 1)] for i in range(len(sources))]


# Charts as plain Vega-Lite: drawn on the page, and in reports by the same description.


@dataclass(frozen=True)
class Plot:
    """A chart with its data in it, and the table that says the same in words."""

    spec: Spec
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Line:
    """One course through the buckets of a chart. None: no figure there."""

    name: str
    values: Sequence[float | None]
    colour: str
    dashed: bool = False


SERIES_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
_FONT = "Inter, sans-serif"
X_LABELS = 9


def configured(spec: Spec, tokens: Tokens, height: int) -> Spec:
    """The look that all plain charts share."""
    axis = {
        "labelFont": _FONT,
        "labelFontSize": 12,
        "labelColor": tokens.ink_faint,
        "labelPadding": 8,
        "gridColor": tokens.line,
        "domain": False,
        "ticks": False,
        "title": None,
    }
    return {
        "height": height,
        "width": "container",
        "padding": {"left": 4, "right": 4, "top": 6, "bottom": 6},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": {
            "background": "transparent",
            "font": _FONT,
            "view": {"stroke": None},
            # The chart has its alternative text and its table; Vega would read out codes.
            "aria": False,
            "mark": {"aria": False},
            "axis": axis,
            "axisX": {"grid": False, "labelPadding": 6},
        },
        **spec,
    }


def ticks_between(low: float, high: float, count: int = 4) -> list[float]:
    """Round values from 0, or from below the lowest when it is negative, past the highest."""
    if low >= 0:
        return nice_ticks(high, count)
    step = nice_ticks(max(high, 0) - low, count)[1]
    first, last = math.floor(low / step + 1e-9), math.ceil(max(high, 0) / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _value_axis(ticks: Sequence[float], said: Callable[[float], str]) -> Spec:
    step = ticks[1] - ticks[0]
    labels = json.dumps({str(round(tick / step)): said(tick) for tick in ticks})
    return {
        "values": list(ticks),
        "labelExpr": f"{labels}[toString(round(datum.value / {step!r}))]",
    }


def _x(labels: Sequence[str]) -> Spec:
    """Positions 0, 1, 2 ... with the labels that there is room for."""
    each = max(1, -(-len(labels) // X_LABELS))
    shown = {str(i): label for i, label in enumerate(labels) if i % each == 0}
    return {
        "field": "at",
        "type": "ordinal",
        "axis": {
            "values": [int(i) for i in shown],
            "labelExpr": f"{json.dumps(shown)}[toString(datum.value)]",
            "labelAngle": 0,
            "labelOverlap": "parity",
        },
    }


def _line_scale(lines: Sequence[Line], looks: Sequence[Any]) -> dict[str, Any]:
    """What each line looks like: its colour, or its dashes."""
    return {
        "field": "line",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": [line.name for line in lines], "range": looks},
    }


def _line_tooltip(_: Words) -> list[dict[str, Any]]:
    return [
        {"field": "name", "type": "nominal", "title": _("Period")},
        {"field": "line", "type": "nominal", "title": _("What")},
        {"field": "said", "type": "nominal", "title": _("Value")},
    ]


def course(
    labels: Sequence[str],
    names: Sequence[str],
    lines: Sequence[Line],
    said: Callable[[float | None, bool], str],
    words: Words,
    tokens: Tokens,
    *,
    partial: bool = False,
    height: int = 260,
) -> Plot:
    """Lines through time, each named at its end. `said` writes a value, short or in full.

    `labels` stand on the axis, `names` in the table. With `partial` the last step is faded: it is
    not over.
    """
    _ = words
    values = [
        {"at": i, "name": names[i], "line": line.name, "value": value, "said": said(value, False)}
        for line in lines
        for i, value in enumerate(line.values)
        if value is not None
    ]
    known = [each["value"] for each in values] or [0.0, 1.0]
    ticks = ticks_between(min(known), max(known))
    last = len(labels) - 1
    colour = _line_scale(lines, [line.colour for line in lines])
    dash = _line_scale(lines, [[4, 4] if line.dashed else [1, 0] for line in lines])
    y = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [ticks[0], ticks[-1]], "nice": False},
        "axis": _value_axis(ticks, lambda tick: said(tick, True)),
    }
    x = _x(labels)
    encoding = {"x": x, "y": y, "color": colour, "tooltip": _line_tooltip(_)}
    whole = f"datum.at < {last}" if partial else "true"
    layers = [
        {
            "transform": [{"filter": whole}],
            "mark": {"type": "line", "strokeWidth": 2.2, "interpolate": "monotone"},
            "encoding": encoding | {"strokeDash": dash},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 40 if len(labels) <= 40 else 4},
            "encoding": encoding
            | {
                "opacity": {
                    "condition": {"test": f"datum.at == {last}", "value": 0.45 if partial else 1},
                    "value": 1,
                }
            },
        },
    ]
    table = [
        [name, *(said(line.values[i], False) if i < len(line.values) else "" for line in lines)]
        for i, name in enumerate(names)
    ]
    spec = configured({"data": {"values": values}, "layer": layers}, tokens, height)
    return Plot(spec, [_("Period"), *(line.name for line in lines)], table)


def stacked(
    labels: Sequence[str],
    names: Sequence[str],
    lines: Sequence[Line],
    said: Callable[[float | None, bool], str],
    words: Words,
    tokens: Tokens,
    *,
    partial: bool = False,
    height: int = 240,
    unit: float = 1,
) -> Plot:
    """Columns, one on top of the other, the first line at the bottom. Values are not negative.

    The axis counts in round numbers of `unit`: 60 for minutes where values are seconds.
    """
    _ = words
    values = [
        {
            "at": i,
            "name": names[i],
            "line": line.name,
            "place": place,
            "value": value or 0,
            "said": said(value, False),
        }
        for place, line in enumerate(lines)
        for i, value in enumerate(line.values)
    ]
    totals = [sum(line.values[i] or 0 for line in lines) for i in range(len(labels))]
    ticks = [tick * unit for tick in nice_ticks((max([*totals, 0]) or 1) / unit)]
    last = len(labels) - 1
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar", "cornerRadius": 2},
        "encoding": {
            "x": _x(labels) | {"scale": {"paddingInner": 0.28, "paddingOuter": 0.14}},
            "y": {
                "field": "value",
                "type": "quantitative",
                "stack": "zero",
                "scale": {"domain": [0, ticks[-1]], "nice": False},
                "axis": _value_axis(ticks, lambda tick: said(tick, True)),
            },
            "color": _line_scale(lines, [line.colour for line in lines]),
            "order": {"field": "place", "type": "ordinal"},
            "opacity": {
                "condition": {"test": f"datum.at == {last}", "value": 0.45 if partial else 1},
                "value": 1,
            },
            "tooltip": _line_tooltip(_),
        },
    }
    table = [
        [name, *(said(line.values[i], False) for line in lines)] for i, name in enumerate(names)
    ]
    head = [_("Period"), *(line.name for line in lines)]
    return Plot(configured(spec, tokens, height), head, table)


@dataclass(frozen=True)
class Span:
    """A bar from one value to another: what speaks for, or against."""

    name: str
    start: float
    end: float
    more: Sequence[str] = ()
    is_sum: bool = False


def spans(
    bars: Sequence[Span], head: Sequence[str], said: Callable[[float], str], tokens: Tokens
) -> Plot:
    """Bars lying one under the other, to the right what adds, to the left what takes away.

    `head` names what a bar is, its length, and what `Span.more` holds.
    """
    values = [
        {
            "name": bar.name,
            "start": bar.start,
            "end": bar.end,
            "colour": tokens.ink if bar.is_sum else tokens.good if bar.end >= bar.start
            else tokens.bad,
            "said": said(bar.end - bar.start),
            **{f"more{i}": text for i, text in enumerate(bar.more)},
        }
        for bar in bars
    ]  # fmt: skip
    ends = [value for bar in bars for value in (bar.start, bar.end)] or [0.0]
    low, high = min(0.0, *ends), max(0.0, *ends)
    ticks = ticks_between(low, high)
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar", "cornerRadius": 2, "height": {"band": 0.7}},
        "encoding": {
            "y": {
                "field": "name",
                "type": "nominal",
                "sort": None,
                "axis": {"labelLimit": 210, "labelPadding": 6},
            },
            "x": {
                "field": "start",
                "type": "quantitative",
                "scale": {"domain": [min(low, ticks[0]), max(high, ticks[-1])], "nice": False},
                "axis": _value_axis(ticks, said) | {"grid": True},
            },
            "x2": {"field": "end"},
            "color": {"field": "colour", "type": "nominal", "scale": None},
            "tooltip": [
                {"field": field, "type": "nominal", "title": title}
                for field, title in zip(
                    ("name", "said", *(f"more{i}" for i in range(len(head) - 2))), head, strict=True
                )
            ],
        },
    }
    rows = [[bar.name, said(bar.end - bar.start), *bar.more] for bar in bars]
    return Plot(configured(spec, tokens, 30 + 22 * len(bars)), head, rows)


def alluvial(
    columns: Sequence[str],
    flows: Sequence[tuple[int, str, str, int]],
    states: Mapping[str, tuple[str, str]],
    words: Words,
    tokens: Tokens,
    *,
    height: int = 320,
) -> Plot:
    """Bands between the states of customers at several moments.

    `flows`: the column they start from, the state there, the state in the next column, and how
    many; `states`: their names and colours, from top to bottom.
    """
    _ = words
    order = {state: place for place, state in enumerate(states)}
    total = max(
        (sum(n for at, _a, _b, n in flows if at == column) for column in range(len(columns) - 1)),
        default=0,
    )
    gap = total * 0.02 or 1
    bands: list[dict[str, Any]] = []
    blocks: list[dict[str, Any]] = []
    tops: dict[tuple[int, str], float] = {}
    for column in range(len(columns)):
        sizes = {
            state: sum(
                n
                for at, a, b, n in flows
                if (at == column and a == state and column < len(columns) - 1)
                or (column == len(columns) - 1 and at == column - 1 and b == state)
            )
            for state in states
        }
        y = 0.0
        for state, size in sizes.items():
            tops[column, state] = y
            if size:
                blocks.append(
                    {
                        "x": column - 0.03,
                        "x2": column + 0.03,
                        "y": -y,
                        "y2": -y - size,
                        "state": state,
                        "said": f"{states[state][0]}: {words.number(size)}",
                        "column": columns[column],
                    }
                )
                y += size + gap
    left, right = dict(tops), dict(tops)
    for at, a, b, n in sorted(flows, key=lambda f: (f[0], order[f[1]], order[f[2]])):
        if not n:
            continue
        y0, left[at, a] = left[at, a], left[at, a] + n
        y1, right[at + 1, b] = right[at + 1, b], right[at + 1, b] + n
        said = _(
            "{count} from {before} to {after}",
            count=words.number(n),
            before=states[a][0],
            after=states[b][0],
        )
        for step in range(13):
            share = step / 12
            eased = share * share * (3 - 2 * share)
            y = y0 + (y1 - y0) * eased
            bands.append(
                {
                    "x": at + 0.03 + 0.94 * share,
                    "y": -y,
                    "y2": -y - n,
                    "flow": f"{at}-{a}-{b}",
                    "state": a,
                    "said": said,
                }
            )
    colour = {
        "field": "state",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": list(states), "range": [colour for _name, colour in states.values()]},
    }
    labels = json.dumps({str(i): name for i, name in enumerate(columns)})
    x = {
        "field": "x",
        "type": "quantitative",
        "scale": {"domain": [-0.05, len(columns) - 0.95], "nice": False},
        "axis": {
            "values": list(range(len(columns))),
            "labelExpr": f"{labels}[toString(datum.value)]",
            "orient": "top",
        },
    }
    y_axis = {"type": "quantitative", "axis": None}
    tooltip = [{"field": "said", "type": "nominal", "title": _("Customers")}]
    layers = [
        {
            "data": {"values": bands},
            "mark": {"type": "area", "opacity": 0.35},
            "encoding": {
                "x": x,
                "y": {"field": "y"} | y_axis,
                "y2": {"field": "y2"},
                "detail": {"field": "flow"},
                "color": colour,
                "tooltip": tooltip,
            },
        },
        {
            "data": {"values": blocks},
            "mark": {"type": "rect"},
            "encoding": {
                "x": x,
                "x2": {"field": "x2"},
                "y": {"field": "y"} | y_axis,
                "y2": {"field": "y2"},
                "color": colour,
                "tooltip": tooltip,
            },
        },
    ]
    table = [
        [f"{columns[at]} → {columns[at + 1]}", states[a][0], states[b][0], words.number(n)]
        for at, a, b, n in flows
        if n
    ]
    head = [_("Between"), _("From"), _("To"), _("Customers")]
    return Plot(configured({"layer": layers}, tokens, height), head, table)


@dataclass(frozen=True)
class Spot:
    """A place on the map: how large its dot is, and how deep its colour, from 0 to 1."""

    name: str
    latitude: float
    longitude: float
    size: float
    depth: float
    said: Sequence[str]


def spots(
    places: Sequence[Spot], head: Sequence[str], tokens: Tokens, *, height: int = 460
) -> Plot:
    """Places as dots where they are; the places themselves draw the country, no map is fetched.

    `head` names what `Spot.said` holds, the place first.
    """
    values = [
        {
            "lon": spot.longitude,
            "lat": spot.latitude,
            "size": spot.size,
            "depth": spot.depth,
            **{f"said{i}": said for i, said in enumerate((spot.name, *spot.said))},
        }
        for spot in places
    ]
    largest = max((spot.size for spot in places), default=1.0) or 1.0
    position = {
        "longitude": {"field": "lon", "type": "quantitative"},
        "latitude": {"field": "lat", "type": "quantitative"},
    }
    spec = {
        "data": {"values": values},
        "projection": {"type": "mercator"},
        "layer": [
            {
                "mark": {"type": "circle", "size": 7, "color": tokens.ink_faint, "opacity": 0.6},
                "encoding": position,
            },
            {
                "mark": {"type": "circle", "opacity": 0.8},
                "encoding": position
                | {
                    "size": {
                        "field": "size",
                        "type": "quantitative",
                        "scale": {"domain": [0, largest], "range": [16, 1600]},
                        "legend": None,
                    },
                    "color": {
                        "field": "depth",
                        "type": "quantitative",
                        "scale": {
                            "domain": [0, 0.5, 1],
                            "range": [OKABE_ITO[name] for name in ("sky", "orange", "vermilion")],
                        },
                        "legend": None,
                    },
                    "tooltip": [
                        {"field": f"said{i}", "type": "nominal", "title": name}
                        for i, name in enumerate(head)
                    ],
                },
            },
        ],
    }
    rows = [[spot.name, *spot.said] for spot in places[:50]]
    return Plot(configured(spec, tokens, height), head, rows)
