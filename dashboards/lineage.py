"""From a figure back to the deliveries, drawn and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from cohorte.i18n import N_
from cohorte.kpis import catalogue, kpi
from cohorte.kpis.lineage import Node, lineage
from cohorte.sources import Source
from dashboards import address, queries, reports
from dashboards.components import Column, card, legend, table
from dashboards.icons import url
from dashboards.language import Words
from dashboards.markup import Html, div, span, tag

KINDS = {
    "delivered": (N_("As delivered"), "#0072B2"),
    "computed": (N_("Computed beside"), "#CC79A7"),
    "between": (N_("Step between"), "#8A93A2"),
    "mart": (N_("Published table"), "#009E73"),
    "kpi": (N_("Figure"), "#D55E00"),
}
COMPUTED = {
    "identity": N_("identity resolution"),
    "scores": N_("scores"),
    "segments": N_("segments"),
}
WIDTH, HEIGHT, STEP, ROW = 156, 30, 178, 40
NARROWEST = 0.66
"""Of its full width; on a narrower page the drawing is moved sideways."""


@dataclass(frozen=True)
class _Box:
    """A table or the KPI in words: what it is called, and who brings it or how many rows it has."""

    node: Node
    label: str
    told: str


def show_lineage(sources: Sequence[Source], _: Words) -> None:
    """The card: a KPI to choose, its drawing, and the table that says the same."""
    with card(
        "lineage", _("Where a figure comes from"), _("From the KPI back to what was delivered")
    ):
        known = list(catalogue())
        asked = address.asked("lineage", known) or known[0]
        chosen = st.selectbox(
            _("KPI"),
            known,
            index=known.index(asked),
            format_func=lambda each: kpi(each).title(_.code),
            key="lineage",
        )
        address.keep("lineage", chosen, known[0])
        boxes = _boxes(chosen, sources, _)
        labels = {box.node.name: box.label for box in boxes}
        legend([(_(name), colour) for name, colour in KINDS.values()])
        said = _(
            "{kpi}: made of {tables}; in the end of {entities}",
            kpi=boxes[-1].label,
            tables=_.list(labels[parent] for parent in boxes[-1].node.parents),
            entities=_.list(box.label for box in boxes if box.node.kind == "delivered"),
        )
        st.html(div(_drawing(boxes), cls="co-lineage", tabindex=0, role="region", aria_label=said))
        rows = [
            [
                span(box.label, cls="main"),
                _(KINDS[box.node.kind][0]),
                box.told or "–",
                _.list(labels[parent] for parent in box.node.parents) or "–",
            ]
            for box in reversed(boxes)
        ]
        columns = [
            Column(_("Name")),
            Column(_("What it is"), "hide"),
            Column(_("Brought by, or rows")),
            Column(_("Made of"), "wide"),
        ]
        made = table(columns, rows, said)
        reports.keep(made)
        st.html(tag("details", tag("summary", _("As a table")), made, cls="co-details"))


def _boxes(chosen: str, sources: Sequence[Source], _: Words) -> list[_Box]:
    bring: dict[str, set[str]] = {}
    for source in sources:
        for feed in source.feeds:
            for entity in feed.entities:
                bring.setdefault(entity, set()).add(source.title or source.source)
    held = queries.pinned().info.tables

    def box(node: Node) -> _Box:
        schema, _dot, name = node.name.rpartition(".")
        match node.kind:
            case "kpi":
                return _Box(node, kpi(chosen).title(_.code), "")
            case "delivered":
                return _Box(node, name, _.list(sorted(bring.get(name, ()))))
            case "computed":
                return _Box(node, name, _(COMPUTED.get(schema, schema)))
        rows = held[name].rows if name in held else None
        told = "" if rows is None else _.ngettext("{count} row", "{count} rows", rows)
        return _Box(node, name.removeprefix("int_").replace("__", ": "), told)

    return [box(node) for node in lineage(chosen)]


def _drawing(boxes: Sequence[_Box]) -> Html:
    """The figure at the left, and from each box ways to what it is made of."""
    places = _places([box.node for box in boxes])
    width = max(x for x, _y in places.values()) + WIDTH
    height = max(y for _x, y in places.values()) + HEIGHT
    ways = "".join(
        _way(places[box.node.name], places[parent]) for box in boxes for parent in box.node.parents
    )
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' preserveAspectRatio="none">'
        f'<g fill="none" stroke="#000" stroke-width="1.3">{ways}</g></svg>'
    )
    return div(
        tag("i", style=f"--i:{url(drawing)}", aria_hidden="true"),
        [_drawn(box, *places[box.node.name], width) for box in boxes],
        cls="drawing",
        style=f"max-width:{width}px;min-width:{round(NARROWEST * width)}px;height:{height}px",
    )


def _way(start: tuple[int, int], end: tuple[int, int]) -> str:
    x, y = start[0] + WIDTH, start[1] + HEIGHT // 2
    to_x, to_y = end[0], end[1] + HEIGHT // 2
    middle = (x + to_x) // 2
    return f'<path d="M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}"/>'


def _drawn(box: _Box, x: int, y: int, width: int) -> Html:
    place = f"left:{x / width:.2%};width:{WIDTH / width:.2%};top:{y}px"
    return span(
        box.label,
        cls="box",
        style=f"{place};--c:{KINDS[box.node.kind][1]}",
        title=f"{box.label} · {box.told}" if box.told else box.label,
    )


def _places(nodes: Sequence[Node]) -> dict[str, tuple[int, int]]:
    """Where the boxes stand: each a column after the last that is made of it, and near those."""
    by_name = {node.name: node for node in nodes}
    columns: dict[str, int] = {}
    makes: dict[str, list[str]] = {}
    for node in reversed(nodes):
        columns[node.name] = 1 + max(
            (columns[made] for made in makes.get(node.name, ())), default=-1
        )
        for parent in node.parents:
            makes.setdefault(parent, []).append(node.name)
    count = max(columns.values()) + 1
    stood = [[name for name in columns if columns[name] == i] for i in range(count)]
    tallest = max(map(len, stood))
    rows: dict[str, float] = {}

    def mean(names: Sequence[str]) -> float:
        known = [rows[name] for name in names if name in rows]
        return sum(known) / len(known) if known else 0.0

    def lay(names: Sequence[str]) -> None:
        top = (tallest - len(names)) / 2
        rows.update({name: top + i for i, name in enumerate(names)})

    for names in stood:
        lay(sorted(names, key=lambda name: (mean(makes.get(name, ())), name)))
    for names in reversed(stood):
        lay(sorted(names, key=lambda name: mean(by_name[name].parents) or rows[name]))
    return {name: (columns[name] * STEP, round(rows[name] * ROW)) for name in rows}
