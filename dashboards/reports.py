"""A page as a report: one HTML file that reads without us, and a PDF.

While a page is drawn, what it draws is written down here: markup as it is, charts as their
descriptions. A report is that record, so it says what the page says, in its words and figures.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from typing import Any

import streamlit as st

from cohorte.clock import now
from dashboards import queries, theme
from dashboards.charts import Plot
from dashboards.language import Words
from dashboards.markup import Html, div, join, tag

_RECORD = "_record"
CHART_WIDTH = 680
FONTS = theme.ASSETS / "fonts"


@dataclass
class Record:
    """What a page has drawn: its title, and markup and charts in order."""

    title: str = ""
    parts: list[Html | Plot] = field(default_factory=list)


def begin() -> None:
    """Forget the page before."""
    st.session_state[_RECORD] = Record()


def record() -> Record:
    """What has been drawn so far in this rerun."""
    found = st.session_state.get(_RECORD)
    return found if isinstance(found, Record) else Record()


def keep(part: Html | Plot) -> None:
    """Write down what was drawn."""
    record().parts.append(part)


@dataclass(frozen=True)
class About:
    """What stands at the head of a report: whose figures, of which version, to which day."""

    company: str
    version: str
    data_to: str
    made_at: str


def about(_: Words) -> About:
    """The head of a report of the version on screen."""
    served = queries.pinned()
    return About(served.company, served.info.version, _.day(served.as_of, "long"), _.at(now()))


def svg(plot: Plot, width: int = CHART_WIDTH) -> str:
    """A chart as a drawing."""
    import vl_convert

    found: str = vl_convert.vegalite_to_svg(_sized(plot, width))
    return found


def png(plot: Plot, width: int = 1000) -> bytes:
    """A chart as a picture on white ground, at twice the size of the screen's."""
    import vl_convert

    spec = _sized(plot, width)
    spec["config"] = spec["config"] | {"background": "#FFFFFF"}
    found: bytes = vl_convert.vegalite_to_png(spec, scale=2)
    return found


def _sized(plot: Plot, width: int) -> dict[str, Any]:
    fit = {"type": "fit-x", "contains": "padding"}
    edge = {"left": 8, "right": 8, "top": 8, "bottom": 8}
    spec: dict[str, Any] = json.loads(json.dumps(dict(plot.spec)))
    for layer in (spec, *spec.get("layer", ())):
        colour = layer.get("encoding", {}).get("color", {})
        if "field" in colour and colour.get("type") == "nominal":
            colour["legend"] = {"orient": "top", "title": None, "symbolType": "square"}
    return spec | {"width": width, "autosize": fit, "padding": edge}


def as_html(written: Record, about: About, words: Words) -> str:
    """The page as one file: style, letters and drawings are in it, and no script."""
    drawn = [
        div(Html(svg(part)), cls="co-drawing") if isinstance(part, Plot) else part
        for part in written.parts
        if isinstance(part, Plot) or not part.startswith('<div class="co-legend"')
    ]
    body = div(
        tag("header", tag("b", about.company), " ", _line(about, words), cls="co-report-head"),
        *drawn,
        cls="stApp co-report",
    )
    head = join(
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", f"{written.title} · {about.company}"),
        Html(_style()),
    )
    page = tag("html", tag("head", head), tag("body", body), lang=words.code)
    return f"<!doctype html>\n{page}\n"


def _line(about: About, words: Words) -> str:
    _ = words
    return _(
        "data to {day} · version {name} · made on {at}",
        day=about.data_to,
        name=about.version,
        at=about.made_at,
    )


@cache
def _style() -> str:
    sheet = theme.css()
    for name in ("inter-latin", "inter-latin-ext"):
        letters = (theme.ASSETS.parent / "static" / f"{name}.woff2").read_bytes()
        data = f"data:font/woff2;base64,{base64.b64encode(letters).decode()}"
        sheet = sheet.replace(f"app/static/{name}.woff2", data)
    return sheet


def as_pdf(written: Record, about: About, words: Words) -> bytes:
    """The page on A4, by a layout of its own: text that can be searched, drawings as drawings."""
    import typst

    _ = words
    content = {
        "language": words.code,
        "company": about.company,
        "title": written.title,
        "line": _line(about, words),
        "page": _("Page"),
        "blocks": list(blocks(written.parts)),
    }
    made = typst.compile(
        str(theme.ASSETS / "report.typ"),
        sys_inputs={"content": json.dumps(content, ensure_ascii=False)},
        font_paths=[str(FONTS)],
        ignore_system_fonts=True,
    )
    return bytes(made)


def blocks(parts: Sequence[Html | Plot]) -> Iterator[dict[str, Any]]:
    """The record as headings, paragraphs, figures, tables and drawings."""
    for part in parts:
        if isinstance(part, Plot):
            yield {"kind": "drawing", "svg": svg(part)}
        else:
            reader = _Reader()
            reader.feed(part)
            reader.close()
            yield from reader.blocks


_ROW_ENDS = {"td", "th"}
_PARAGRAPHS = {"p", "li", "dt", "dd", "h1", "h2", "h3"}
_LEFT_OUT = ("co-hint", "co-spark", "co-details", "co-legend")
_SIGNS = re.compile(r"\s+")


class _Reader(HTMLParser):
    """Reads the markup of our own components, which is all there is."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[dict[str, Any]] = []
        self._text: list[str] = []
        self._table: list[list[str]] | None = None
        self._figures: list[dict[str, str]] | None = None
        self._open: list[tuple[str, str]] = []
        self._skipped = 0

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        cls = dict(attributes).get("class") or ""
        self._open.append((name, cls))
        if self._skipped or any(word in cls for word in _LEFT_OUT):
            self._skipped += 1
            return
        words = set(cls.split())
        if name == "table":
            self._flush()
            self._table = []
        elif name == "tr" and self._table is not None:
            self._table.append([])
        elif words & {"co-kpis", "co-strip"}:
            self._flush()
            self._figures = []
        elif self._figures is not None and words & {"co-kpi-name", "k"}:
            self._take()
            self._figures.append({"name": "", "value": "", "note": ""})
        elif name in _PARAGRAPHS or words & {"co-kpi-name", "co-card-head", "co-insight"}:
            self._flush()

    def handle_endtag(self, name: str) -> None:
        while self._open:
            tag_name, cls = self._open.pop()
            if self._skipped:
                self._skipped -= 1
            else:
                self._end(tag_name, cls)
            if tag_name == name:
                break

    def _end(self, name: str, cls: str) -> None:
        words = set(cls.split())
        if self._table is not None and name in _ROW_ENDS:
            self._table[-1].append(self._take())
        elif name == "table" and self._table is not None:
            rows, self._table = self._table, None
            self.blocks.append({"kind": "table", "rows": [row for row in rows if row]})
        elif self._figures is not None and words & {"co-kpi-name", "k"}:
            self._figures[-1]["name"] = self._take()
        elif self._figures is not None and words & {"co-kpi-value", "v"}:
            self._figures[-1]["value"] = self._take()
        elif self._figures is not None and words & {"co-change", "s", "co-goal"}:
            said = self._take()
            self._figures[-1]["note"] = " · ".join(filter(None, [self._figures[-1]["note"], said]))
        elif words & {"co-kpis", "co-strip"} and self._figures is not None:
            items, self._figures = self._figures, None
            self.blocks.append({"kind": "figures", "items": items})
        elif self._table is None and self._figures is None and name in ("h1", "h2", "h3"):
            self._flush(name)
        elif self._table is None and self._figures is None and name in _PARAGRAPHS:
            self._flush()
        elif self._table is None and words & {"co-insight"}:
            self._flush("insight")
        elif name in ("span", "div", "b", "i"):
            self._text.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._text.append(data)

    def close(self) -> None:
        super().close()
        self._flush()

    def _take(self) -> str:
        said = _SIGNS.sub(" ", "".join(self._text)).strip()
        self._text.clear()
        return said

    def _flush(self, kind: str = "p") -> None:
        if self._table is None and self._figures is None and (said := self._take()):
            self.blocks.append({"kind": kind, "text": said})
