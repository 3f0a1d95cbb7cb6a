"""The pieces that screens are made of: heads, cards, figures, tables, states."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cohorte.errors import CohorteError
from dashboards import address, reports, theme
from dashboards.charts import Drawn as AltairChart
from dashboards.charts import Line, Plot
from dashboards.icons import MARK, icon, url
from dashboards.language import Words, words
from dashboards.markup import Html, div, join, span, tag, text


def draw(*markup: Html | None) -> None:
    """Put markup built by `markup.tag` on the page."""
    made = join(*markup)
    if made:
        reports.keep(made)
        st.html(made)


# The frame


def style() -> None:
    """The style sheet, and the page's language for screen readers and hyphenation."""
    st.html(theme.css())


def brand() -> None:
    st.html(div(MARK, tag("b", "Cohorte"), cls="co-brand"))


def nav_heading(name: str) -> None:
    """The name of a group of screens in the rail."""
    st.html(div(name, cls="co-nav-group"))


# Heads


@contextmanager
def page_head(title: str, subtitle: str | Html = "") -> Iterator[None]:
    """Title and one sentence; what is drawn inside stands at the right."""
    with st.container(
        key="head", horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"
    ):
        head = div(tag("h1", title), tag("p", subtitle) if subtitle else None, cls="co-title")
        reports.keep(head)
        reports.record().title = title
        st.html(head, width="content")
        with st.container(
            key="head-controls", horizontal=True, width="content", vertical_alignment="bottom"
        ):
            yield


def section(title: str, subtitle: str = "") -> None:
    draw(div(tag("h2", title), tag("p", subtitle) if subtitle else None, cls="co-section"))


@contextmanager
def card(key: str, title: str = "", subtitle: str | Html = "") -> Iterator[DeltaGenerator]:
    """A bordered surface; its title states the finding when there is one."""
    with st.container(key=f"card-{key}") as container:
        if title or subtitle:
            draw(
                div(
                    tag("h2", title) if title else None,
                    tag("p", subtitle) if subtitle else None,
                    cls="co-card-head",
                )
            )
        yield container


def plot(drawn: Plot, says: str, *, key: str | None = None) -> None:
    """A chart, and under it the table that says the same. `says`: what one would be told of it."""
    _ = words()
    reports.keep(drawn)
    st.vega_lite_chart(None, drawn.spec, theme=None, alt=says, key=key)
    details = tag(
        "details",
        tag("summary", _("As a table")),
        table(
            [Column(name, "num" if i else "") for i, name in enumerate(drawn.head)],
            drawn.rows,
            says,
        ),
        cls="co-details",
    )
    st.html(details)


def picture(builder: Callable[..., AltairChart], *args: Any, says: str) -> None:
    """A chart of a builder, described once for the same data, language and mode."""
    spec = _described(builder, builder.__qualname__, args)
    reports.keep(Plot(spec, (), ()))
    st.vega_lite_chart(None, spec, theme=None, alt=says)


@st.cache_data(show_spinner=False, max_entries=200)
def _described(
    _builder: Callable[..., AltairChart], name: str, args: tuple[Any, ...]
) -> dict[str, Any]:
    described = _builder(*args).to_dict() | {"width": "container"}
    plain: dict[str, Any] = json.loads(json.dumps(described, default=float))
    return plain


def choice(
    label: str,
    options: Sequence[str],
    said: Callable[[str], str],
    key: str,
    usual: str,
    *,
    widget: str | None = None,
    is_labelled: bool = False,
) -> str:
    """One of a few, side by side, that the address keeps under `key`; `usual` leaves no trace.

    `said` writes an option. `widget` is the widget's key where the address's would not be its own.
    """
    chosen = st.segmented_control(
        label,
        options,
        default=address.asked(key, options) or usual,
        required=True,
        format_func=said,
        key=widget or key,
        label_visibility="visible" if is_labelled else "collapsed",
    )
    address.keep(key, chosen, usual)
    return chosen or usual


def search_box(placeholder: str) -> str:
    """What is looked for, while it is typed; the address keeps it under `q`."""
    _ = words()
    found = st.text_input(
        _("Search"),
        address.asked("q") or "",
        key="q",
        type="search",
        live="350ms",
        max_chars=200,
        placeholder=placeholder,
    )
    address.keep("q", found)
    return found or ""


def insight(sentence: str) -> None:
    """The sentence that a hurried reader takes away."""
    draw(div(icon("spark"), span(sentence), cls="co-insight"))


def note(sentence: str) -> None:
    draw(tag("p", sentence, cls="co-note"))


def warning(sentence: str) -> None:
    """What makes the figures below less than they seem."""
    draw(div(sentence, cls="co-warning", role="status"))


# Figures


@dataclass(frozen=True)
class Figure:
    """A headline figure: its value in words, change against the period before, and course.

    `change` is a ratio (0.1 is 10 % up), None when there is nothing to compare with.
    `up_is_good` is None when neither direction is better. The change of a share or a score is in
    points: `unit` says so. `remark` is what must be read with the value. `goal`: how much of the
    target is reached, and in words. `warning`: why the figure is less than it seems.
    """

    name: str
    value: str
    definition: str
    change: float | None = None
    against: str = ""
    up_is_good: bool | None = True
    course: Sequence[float] = ()
    course_before: Sequence[float] = ()
    known: bool = True
    unit: str = "count"
    remark: str = ""
    goal: tuple[float, str] | None = None
    warning: str = ""
    path: str = ""


def change_pill(
    change: float | None, up_is_good: bool | None, _: Words, unit: str = "count"
) -> Html:
    """A change with an arrow and its sign; the tone adds to them and never stands alone."""
    if change is None:
        return span(_("no comparison"), cls="co-pill")
    if abs(change) < 0.0005:
        return span("= ", _("unchanged"), cls="co-pill")
    arrow = "↑ " if change > 0 else "↓ "
    tone = "" if up_is_good is None else "good" if (change > 0) == up_is_good else "bad"
    said = _.difference(change, unit) if unit in ("percent", "points") else _.change(change)
    return span(arrow, said, cls=f"co-pill {tone}".strip())


def sparkline(course: Sequence[float], before: Sequence[float] = ()) -> Html | None:
    """The course of a figure as a line, the period before dashed under it."""
    if len(course) < 2 or not any(course):
        return None
    top = max([*course, *before])
    bottom = min([0.0, *course, *before])
    scale = (_SPARK_HEIGHT - 4) / ((top - bottom) or 1.0)

    def points(values: Sequence[float]) -> str:
        step = 200.0 / (len(values) - 1)
        return " L".join(
            f"{i * step:.1f},{_SPARK_HEIGHT - 2 - (value - bottom) * scale:.1f}"
            for i, value in enumerate(values)
        )

    line = points(course)
    stroke = 'fill="none" stroke="#000" vector-effect="non-scaling-stroke" stroke-linejoin="round"'
    layers = [
        ("area", f'<path d="M0,{_SPARK_HEIGHT} L{line} L200,{_SPARK_HEIGHT} Z"/>'),
        ("line", f'<path {stroke} stroke-width="1.7" d="M{line}"/>'),
    ]
    if len(before) > 1:
        dashed = f'<path {stroke} stroke-width="1.3" stroke-dasharray="3 3" d="M{points(before)}"/>'
        layers.insert(0, ("base", dashed))
    return div(
        [tag("i", cls=name, style=f"--i:{url(_spark(drawing))}") for name, drawing in layers],
        cls="co-spark",
        aria_hidden="true",
    )


_SPARK_HEIGHT = 36


def _spark(drawing: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 {_SPARK_HEIGHT}" '
        f'preserveAspectRatio="none">{drawing}</svg>'
    )


def hint(sentence: str) -> Html:
    """A small sign that shows a definition on hover and on focus."""
    return span("i", cls="co-hint", data_tip=sentence, tabindex=0, role="note", aria_label=sentence)


def figures(items: Sequence[Figure]) -> None:
    """Headline figures side by side."""
    _ = words()
    cards = [
        div(
            div(span(item.name), hint(item.definition), cls="co-kpi-name"),
            div(item.value, cls="co-kpi-value" if item.known else "co-kpi-value unknown"),
            div(
                change_pill(item.change, item.up_is_good, _, item.unit),
                span(item.against, cls="co-against") if item.change is not None else None,
                cls="co-change",
            ),
            div(item.remark, cls="co-change") if item.remark else None,
            div(bar(item.goal[0]), span(item.goal[1]), cls="co-goal") if item.goal else None,
            div(item.warning, cls="co-partial") if item.warning else None,
            sparkline(item.course, item.course_before),
            cls="co-card co-kpi",
        )
        for item in items
    ]
    draw(div(cards, cls="co-kpis"))


def strip(items: Sequence[tuple[str, str] | tuple[str, str, str]], *, boxed: bool = True) -> None:
    """Small figures in a row: name, value and, if given, a remark."""
    parts = [
        div(
            span(item[0], cls="k"),
            span(item[1], cls="v"),
            span(item[2], cls="s") if len(item) > 2 and item[2] else None,
        )
        for item in items
    ]
    draw(div(parts, cls="co-card co-strip" if boxed else "co-strip bare"))


def legend(items: Sequence[tuple[str, str] | tuple[str, str, str]]) -> None:
    """Data colours and what they stand for; the third part is a shape: tick or dash."""
    draw(
        div(
            [
                span(
                    tag("i", cls=item[2] if len(item) > 2 else "", style=f"--c:{item[1]}"), item[0]
                )
                for item in items
            ],
            cls="co-legend",
        )
    )


def line_legend(lines: Sequence[Line]) -> None:
    """The lines of a chart by name and colour, dashed ones as dashes."""
    legend([(line.name, line.colour, "dash" if line.dashed else "") for line in lines])


def reach(counts: Mapping[str, int], size: int, names: Mapping[str, str]) -> None:
    """How many of a group may be contacted, per channel. `names` gives the channels in order."""
    _ = words()
    lines = [
        div(
            div(
                span(_(name)),
                span(f"{_.number(counts[channel])} · {_.share(counts[channel], size)}"),
                cls="row",
            ),
            bar(counts[channel] / (size or 1)),
        )
        for channel, name in names.items()
    ]
    nobody = not any(counts[channel] for channel in names)
    draw(
        div(
            div(_("May be contacted"), cls="co-kpi-name"),
            span(_("Nobody: no valid address with a consent."), cls="co-note")
            if nobody
            else div(lines, cls="co-reach-grid"),
            cls="co-reach",
        )
    )


def pill(label: str, tone: str = "") -> Html:
    return span(label, cls=f"co-pill {tone}".strip())


def swatch(colour: str) -> Html:
    return tag("i", cls="co-swatch", style=f"--c:{colour}")


def bar(share: float, colour: str = "") -> Html:
    width = max(0.0, min(1.0, share)) * 100
    style_ = f"width:{width:.1f}%" + (f";--c:{colour}" if colour else "")
    return span(tag("i", style=style_), cls="co-bar")


# Tables


@dataclass(frozen=True)
class Column:
    """A column of a table. `cls`: num, wide (a line of its own on a phone), hide (not there), words
    (broken between words alone).

    `named` repeats the label beside the value on a phone.
    """

    label: str
    cls: str = ""
    named: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], label: str) -> Html:
    """A table to read. Cells are texts or markup built by `markup.tag`."""
    head = tag("tr", [_head(column) for column in columns])
    body = [
        tag(
            "tr",
            [
                tag("td", cell, cls=c.cls, data_label=c.label if c.named else None)
                for c, cell in zip(columns, row, strict=True)
            ],
        )
        for row in rows
    ]
    made = tag(
        "table", tag("thead", head), tag("tbody", body), cls="co-table co-stack", aria_label=label
    )
    return div(made, cls="co-table-box", tabindex=0, role="region", aria_label=label)


def _head(column: Column) -> Html:
    """The head of a column; one without a name is no head."""
    if not column.label:
        return tag("td", cls=column.cls)
    return tag("th", column.label, cls=column.cls, scope="col")


@dataclass(frozen=True)
class Heat:
    """A cell whose ground says how much: `weight` of 1 is the most. `running`: not over yet."""

    said: str
    weight: float | None = None
    running: bool = False


def heat_table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[Heat]]], label: str) -> Html:
    """A table to read by its colours as by its figures; rows may be shorter than the head."""
    body = []
    for name, cells in rows:
        shown = [
            tag("td", each.said, cls="num base")
            if each.weight is None
            else tag(
                "td",
                each.said,
                cls="num heat running" if each.running else "num heat",
                style=f"--a:{round(100 * max(0.0, min(1.0, each.weight)))}%",
            )
            for each in cells
        ]
        left = [tag("td", "")] * (len(head) - 1 - len(cells))
        body.append(tag("tr", tag("th", name, scope="row"), shown, left))
    named = [tag("th", each, cls="num" if i else "", scope="col") for i, each in enumerate(head)]
    return div(
        tag(
            "table",
            tag("thead", tag("tr", named)),
            tag("tbody", body),
            cls="co-table co-heat",
            aria_label=label,
        ),
        cls="co-table-box",
        tabindex=0,
        role="region",
        aria_label=label,
    )


def cell(
    value: str | None = None,
    *,
    sub: str | None = None,
    pill: str | None = None,
    tone: str = "",
    colour: str | None = None,
    bar: float | None = None,
    course: Sequence[float] = (),
    faint: bool = False,
) -> dict[str, Any]:
    """A cell of `open_table`; every part is shown as text, a course as a line under it."""
    parts = {"text": value, "sub": sub, "pill": pill, "tone": tone, "colour": colour, "bar": bar}
    kept = {name: part for name, part in parts.items() if part not in (None, "")}
    if len(course) > 1:
        kept["course"] = [float(point) for point in course]
    return kept | ({"faint": True} if faint else {})


def open_table(
    key: str,
    columns: Sequence[Column],
    rows: Sequence[tuple[str, Sequence[dict[str, Any]]]],
    *,
    label: str,
    path: str = "",
    picked: str | None = None,
) -> str | None:
    """A table whose rows open something; the id of the row just chosen, once.

    A component of our own: Streamlit's data frame is drawn on a canvas, which screen readers
    cannot read, which does not reflow on a phone, and whose rows cannot be followed as links.
    """
    reports.keep(table(columns, [[_said(each) for each in cells] for _id, cells in rows], label))
    data = {
        "columns": [
            {"label": c.label, "cls": c.cls, "name": c.label if c.named else ""} for c in columns
        ],
        "rows": [{"id": row_id, "cells": list(cells)} for row_id, cells in rows],
        "label": label,
        "path": path,
        "picked": picked,
        "stack": True,
    }
    return _mount("cohorte_table", "table.js", key, data)


def _said(parts: dict[str, Any]) -> str:
    """A cell of `open_table` in words."""
    shown = (parts.get("pill") or parts.get("text"), parts.get("sub"))
    return " · ".join(str(part) for part in shown if part)


def rfm_map(
    key: str, cells: Mapping[str, Mapping[str, Any]], *, label: str, picked: str | None
) -> str | None:
    """The 25 cells, each a button; the segment of the cell just chosen, once."""
    return _mount(
        "cohorte_rfm_map", "rfm_map.js", key, {"cells": cells, "label": label, "picked": picked}
    )


def _mount(name: str, script: str, key: str, data: dict[str, Any]) -> str | None:
    component = st.components.v2.component(
        name, js=(theme.ASSETS / script).read_text(encoding="utf-8"), isolate_styles=False
    )
    result = component(key=key, data=data, on_picked_change=lambda: None)
    picked = result.get("picked")
    return None if picked is None else str(picked)


# States


def empty(
    title: str,
    explanation: str = "",
    *,
    symbol: str = "search",
    command: str = "",
    small: bool = False,
) -> None:
    """Nothing to show: why, and what to do about it."""
    draw(
        div(
            icon(symbol),
            tag("h2", title),
            tag("p", explanation) if explanation else None,
            tag("code", command, cls="co-code") if command else None,
            cls="co-empty small" if small else "co-empty",
        )
    )


def failure(error: Exception) -> None:
    """Something went wrong: what a person can do; details go to the log, not to the page."""
    _ = words()
    if isinstance(error, CohorteError):
        title, remedy = _.told(error.message), _.told(error.remedy)
    else:
        title, remedy = _("This page could not be shown"), ""
    draw(
        div(
            icon("alert"),
            tag("h2", title[:1].upper() + title[1:]),
            tag("code", error.where.rpartition("/")[2], cls="co-code")
            if isinstance(error, CohorteError) and error.where
            else None,
            tag(
                "p",
                remedy
                or _(
                    "Reload the page. If it happens again, the server's log says what went wrong."
                ),
            ),
            cls="co-empty failure",
            role="alert",
        )
    )


__all__ = [
    "Column",
    "Figure",
    "Heat",
    "bar",
    "brand",
    "card",
    "cell",
    "change_pill",
    "draw",
    "empty",
    "failure",
    "figures",
    "heat_table",
    "hint",
    "insight",
    "legend",
    "line_legend",
    "nav_heading",
    "note",
    "open_table",
    "page_head",
    "picture",
    "pill",
    "plot",
    "reach",
    "rfm_map",
    "search_box",
    "section",
    "sparkline",
    "strip",
    "style",
    "swatch",
    "table",
    "text",
    "warning",
]
