import re

import pytest

from dashboards import icons, theme


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        *[
            (ink, paper)
            for ink in ("ink", "ink_soft", "ink_faint", "accent")
            for paper in ("canvas", "surface", "sunken")
        ],
        ("good", "good_soft"),
        ("bad", "bad_soft"),
        ("warn", "warn_soft"),
        ("accent", "accent_soft"),
        ("ink", "accent_soft"),
        ("on_accent", "accent"),
    ],
)
def test_every_text_stands_out_from_its_surface(ink: str, paper: str, mode: int) -> None:
    assert contrast(theme.PAIRS[ink][mode], theme.PAIRS[paper][mode]) >= 4.5


def test_the_style_sheet_knows_every_colour_and_icon_it_uses() -> None:
    css = theme.css()
    defined = set(re.findall(r"(--[a-z][a-z0-9-]*)\s*:", css))
    used = set(re.findall(r"var\((--[a-z][a-z0-9-]*)", css))
    assert used - defined <= {"--a", "--c"}, "only what an element sets for itself"
    assert ".co-ic-order" in icons.css()


def test_charts_get_the_colours_of_the_mode() -> None:
    assert theme.tokens("dark").surface == theme.PAIRS["surface"][1]
    assert theme.tokens(None).mode == "light"
