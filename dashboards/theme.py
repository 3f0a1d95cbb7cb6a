"""Design tokens: one source for Streamlit's options, the style sheet and the charts.

Colours come in pairs (light, dark). Data colours are Okabe and Ito's palette, which people with
any colour vision tell apart; text colours meet WCAG AA on their surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dashboards import icons

ASSETS = Path(__file__).parent / "assets"

FONT = "Inter, ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

PAIRS: dict[str, tuple[str, str]] = {
    "canvas": ("#F6F7F9", "#0D1015"),
    "surface": ("#FFFFFF", "#15191F"),
    "sunken": ("#F1F3F6", "#1C2129"),
    "line": ("#E5E8ED", "#262C36"),
    "line_strong": ("#CFD5DE", "#3A424F"),
    "ink": ("#131720", "#ECEFF4"),
    "ink_soft": ("#475061", "#B4BCC9"),
    "ink_faint": ("#626C7D", "#8D97A6"),
    "accent": ("#00629B", "#6CBDEB"),
    "accent_soft": ("#E6F1F8", "#12293A"),
    "on_accent": ("#FFFFFF", "#0B1520"),
    "good": ("#00724F", "#45CDA3"),
    "good_soft": ("#E2F4ED", "#0E2C24"),
    "bad": ("#A94400", "#F39B62"),
    "bad_soft": ("#FCEDE1", "#37210F"),
    "warn": ("#7D5A00", "#F0C24B"),
    "warn_soft": ("#FDF3D7", "#33290C"),
    "shadow": ("rgba(16, 24, 40, .05)", "rgba(0, 0, 0, .35)"),
}

OKABE_ITO = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "sky": "#56B4E9",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "yellow": "#F0E442",
}


@dataclass(frozen=True)
class Tokens:
    """Colours of one mode, for what cannot read CSS variables (charts)."""

    mode: str
    canvas: str
    surface: str
    sunken: str
    line: str
    line_strong: str
    ink: str
    ink_soft: str
    ink_faint: str
    accent: str
    accent_soft: str
    good: str
    bad: str
    now: str
    before: str
    second: str
    third: str


COOKIE = "cohorte_theme"
SCHEMES = ("system", "light", "dark")


def tokens(mode: str | None) -> Tokens:
    """Tokens of `light` or `dark`; anything else is light."""
    dark = mode == "dark"
    pick = {name: pair[dark] for name, pair in PAIRS.items()}
    kept = {name: pick[name] for name in Tokens.__dataclass_fields__ if name in pick}
    return Tokens(
        mode="dark" if dark else "light",
        now=OKABE_ITO["sky"] if dark else OKABE_ITO["blue"],
        before="#5B6675" if dark else "#B9C1CD",
        second=OKABE_ITO["orange"],
        third=OKABE_ITO["green"],
        **kept,
    )


def css() -> str:
    """The style sheet, with the tokens as custom properties that follow the colour scheme."""
    lines = [
        f"--{name.replace('_', '-')}: light-dark({light}, {dark});"
        for name, (light, dark) in PAIRS.items()
    ]
    lines += [f"--data-{name}: {colour};" for name, colour in OKABE_ITO.items()]
    lines += [f"--font: {FONT};", f"--mono: {MONO};"]
    sheet = (ASSETS / "style.css").read_text(encoding="utf-8")
    return f"<style>:root{{{' '.join(lines)}}}\n{sheet}\n{icons.css()}</style>"


def streamlit_options() -> dict[str, str]:
    """Theme options as `streamlit run` takes them, from the same tokens."""
    options = {
        "theme.font": FONT,
        "theme.codeFont": MONO,
        "theme.baseFontSize": "14",
        "theme.baseRadius": "8px",
        "theme.buttonRadius": "8px",
        "theme.showWidgetBorder": "true",
    }
    names = {
        "primaryColor": "accent",
        "backgroundColor": "canvas",
        "secondaryBackgroundColor": "sunken",
        "textColor": "ink",
        "borderColor": "line_strong",
        "linkColor": "accent",
        "dataframeBorderColor": "line",
        "dataframeHeaderBackgroundColor": "surface",
    }
    for index, mode in enumerate(("light", "dark")):
        options |= {f"theme.{mode}.{key}": PAIRS[name][index] for key, name in names.items()}
    return options
