"""A small set of line icons, drawn on a grid of 24, in the colour of the text around them."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from dashboards.markup import Html, tag

_PATHS: dict[str, str] = json.loads(
    (Path(__file__).parent / "assets" / "icons.json").read_text(encoding="utf-8")
)


def icon(name: str) -> Html:
    """The icon of a name, in the colour of its surroundings; a dot for one that is not drawn."""
    return tag("i", cls=f"co-ic co-ic-{name if name in _PATHS else 'dot'}", aria_hidden="true")


def names() -> list[str]:
    """The icons there are."""
    return list(_PATHS)


def css() -> str:
    """One mask per icon: Streamlit strips SVG from a page, style sheets may carry it."""
    return (
        "".join(f".co-ic-{name}{{--i:{url(_svg(path))}}}" for name, path in _PATHS.items())
        + f".co-mark{{--i:{url(_MARK)}}}"
    )


def url(svg: str) -> str:
    """An SVG drawing as a CSS url."""
    return f'url("data:image/svg+xml,{quote(svg)}")'


def _svg(path: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#000" '
        'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">'
        f'<path d="{path}"/></svg>'
    )


_MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28"><path fill-rule="evenodd" d="'
    "M8 0h12a8 8 0 0 1 8 8v12a8 8 0 0 1-8 8H8a8 8 0 0 1-8-8V8a8 8 0 0 1 8-8Z"
    "M9 6.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z"
    "M19 6.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z"
    'M9 16.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z"/>'
    '<circle cx="19" cy="19" r="2.8" opacity=".45"/></svg>'
)

MARK = tag("i", cls="co-mark", aria_hidden="true")
