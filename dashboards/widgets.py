"""The words that Streamlit's own widgets say, which it has in English only."""

from __future__ import annotations

import json
from functools import cache

from cohorte.i18n import N_, translator
from dashboards import theme

WORDS = (
    N_("Upload"),
    N_("{size}MB per file"),
    N_("Drag and drop a file here"),
    N_("file upload"),
    N_("Choose date"),
    N_("Choose date range"),
    N_("Choose date, {day}"),
    N_("Choose date range, {days}"),
    N_("Clear date"),
    N_("Clear dates"),
    N_("Use arrow keys to navigate dates. Enter to select. Escape to close."),
    N_("year, {field}"),
    N_("month, {field}"),
    N_("day, {field}"),
    N_("Previous month"),
    N_("Next month"),
    N_("Clear all"),
    N_("Clear value"),
    N_("Clear entry"),
    N_("Selected values"),
    N_("Remove {value}"),
    N_("No results"),
    N_("Select all"),
    N_("Increment"),
    N_("Decrement"),
    N_("Press Enter to apply"),
    N_("Choose an option"),
    N_("Choose options"),
    N_("{field} start date"),
    N_("{field} end date"),
)


@cache
def script() -> str:
    """What puts them in French where the page is French, and back; for the HTML shell."""
    _ = translator("fr")
    said = [[word, _(word)] for word in WORDS] + [["Open", _.pgettext("a list", "Open")]]
    pairs = json.dumps(said, ensure_ascii=False)
    speaks = (theme.ASSETS / "widgets.js").read_text(encoding="utf-8").strip()
    return f"<script>{speaks}({pairs})</script>"
