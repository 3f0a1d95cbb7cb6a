"""The only way from data to HTML: every text is escaped unless it was built here."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=@&])")


class Html(str):
    """Markup built by `tag`; anything else is text and is escaped when it enters one."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def text(value: object) -> Html:
    """`value` as text, never as markup."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def join(*children: Child) -> Html:
    """Children one after the other; None and empty lists leave nothing."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, str | int | float):
            parts.append(text(child))
        else:
            parts.append(join(*child))
    return Html("".join(parts))


def tag(name: str, *children: Child, cls: str = "", **attributes: object) -> Html:
    """One element. Attributes set to None or False are left out; `_` stands for `-`."""
    pairs = {"class": cls or None} | {
        key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()
    }
    written = "".join(
        f' {key}="{html.escape("" if value is True else str(value), quote=True)}"'
        for key, value in pairs.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def div(*children: Child, cls: str = "", **attributes: object) -> Html:
    return tag("div", *children, cls=cls, **attributes)


def span(*children: Child, cls: str = "", **attributes: object) -> Html:
    return tag("span", *children, cls=cls, **attributes)


def markdown_text(value: object) -> str:
    """`value` for a Streamlit label, which reads Markdown: every sign of it is escaped."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(value).split()))
