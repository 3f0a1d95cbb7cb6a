"""A small set of line icons, drawn on a grid of 24, in the colour of the text around them."""

from __future__ import annotations

from urllib.parse import quote

from dashboards.markup import Html, tag

_PATHS = {
    "order": "M6 8h12l1 12H5L6 8Zm3 0V6a3 3 0 0 1 6 0v2",
    "return": "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
    "cart": "M3 4h2l2.4 11h10.2L20 7H6M9 20h.01M17 20h.01",
    "email": "M3 6h18v12H3V6Zm0 1 9 6 9-6",
    "open": "M3 10v9h18v-9l-9-6-9 6Zm0 0 9 6 9-6",
    "click": "M5 4l14 6-6 2.5L10.5 19 5 4Zm8.5 8.5L19 18",
    "stop": "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM6 6l12 12",
    "web": "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm-9 9h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
    "call": "M5 4h4l1.5 5-2.5 2a12 12 0 0 0 5 5l2-2.5 5 1.5v4a1 1 0 0 1-1 1A16 16 0 0 1 4 5a1 1 0 0 1 1-1Z",
    "visit": "M12 21s7-6 7-11a7 7 0 0 0-14 0c0 5 7 11 7 11Zm0-8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
    "meeting": "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6 9c0-4 2.5-6 6-6s6 2 6 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2 .8 3 2.8 3 5.5",
    "chat": "M4 5h16v11H9l-5 4V5Z",
    "note": "M6 3h8l4 4v14H6V3Zm8 0v4h4M9 12h6M9 16h6",
    "ticket": "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 5.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM5.6 5.6l3.9 3.9M14.5 14.5l3.9 3.9M18.4 5.6l-3.9 3.9M9.5 14.5l-3.9 3.9",
    "survey": "m12 3 2.7 5.8 6.3.8-4.6 4.4 1.2 6.3L12 17.2l-5.6 3.1 1.2-6.3L3 9.6l6.3-.8L12 3Z",
    "lead": "M5 21V4h12l-2.5 4.5L17 13H5",
    "opportunity": "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 5a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0 3.5v1",
    "dot": "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z",
    "spark": "M12 3v4M12 17v4M3 12h4M17 12h4M6 6l2.5 2.5M15.5 15.5 18 18M18 6l-2.5 2.5M8.5 15.5 6 18",
    "database": "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3Zm0 0v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
    "search": "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 5 5",
    "alert": "M12 3 2 20h20L12 3Zm0 7v4M12 17h.01",
    "people": "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6 9c0-4 2.5-6 6-6s6 2 6 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2 .8 3 2.8 3 5.5",
    "filter": "M3 5h18l-7 8.5V20l-4-2v-4.5L3 5Z",
}


def icon(name: str) -> Html:
    """The icon of a name, in the colour of its surroundings; a dot for one that is not drawn."""
    return tag("i", cls=f"co-ic co-ic-{name if name in _PATHS else 'dot'}", aria_hidden="true")


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
        f'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"><path d="{path}"/></svg>'
    )


_MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28"><path fill-rule="evenodd" d="'
    "M8 0h12a8 8 0 0 1 8 8v12a8 8 0 0 1-8 8H8a8 8 0 0 1-8-8V8a8 8 0 0 1 8-8Z"
    "M9 6.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM19 6.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z"
    'M9 16.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z"/>'
    '<circle cx="19" cy="19" r="2.8" opacity=".45"/></svg>'
)

MARK = tag("i", cls="co-mark", aria_hidden="true")
