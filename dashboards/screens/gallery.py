"""Every element of the design system on one page, for those who make pages. In no menu."""

from __future__ import annotations

import streamlit as st

from dashboards import charts, theme
from dashboards.charts import Line
from dashboards.components import (
    Column,
    Figure,
    bar,
    card,
    cell,
    change_pill,
    draw,
    empty,
    insight,
    legend,
    note,
    open_table,
    page_head,
    pill,
    plot,
    section,
    strip,
    swatch,
    table,
    warning,
)
from dashboards.components import figures as figure_cards
from dashboards.icons import icon, names
from dashboards.language import Words, words
from dashboards.markup import div, join, span

COURSE = [12.0, 15.0, 11.0, 18.0, 22.0, 19.0, 25.0]


def render() -> None:
    _ = words()
    with page_head(_("Gallery"), _("Every element, to look at and to build from.")):
        st.segmented_control(_("Choice"), ["A", "B"], default="A", label_visibility="collapsed")
    section(_("Colours"))
    draw(
        div(
            [
                div(
                    div(cls="co-chip", style=f"background:var(--{name.replace('_', '-')})"),
                    span(name),
                )
                for name in theme.PAIRS
                if name != "shadow"
            ],
            cls="co-chips",
        )
    )
    draw(
        div(
            [
                div(div(cls="co-chip", style=f"background:{colour}"), span(name))
                for name, colour in theme.OKABE_ITO.items()
            ],
            cls="co-chips",
        )
    )
    section(_("Sentences and figures"))
    insight(_("The sentence that a hurried reader takes away."))
    warning(_("What makes the figures below less than they seem."))
    note(_("A remark in small."))
    figure_cards(
        [
            Figure(
                _("Net revenue"), _.money(125000), _("What it is and what to beware of"), 0.12,
                _("vs the period before"), True, COURSE, COURSE[::-1],
                goal=(0.7, _("a goal and how far it is")),
            ),
            Figure(
                _("Churn"), _.percent(0.042), _("What it is and what to beware of"), 0.004,
                _("vs the period before"), False, COURSE, unit="percent",
                warning=_("The period is not over"),
            ),
            Figure(_("NPS"), _.number(None), _("What it is and what to beware of"), known=False),
        ]
    )  # fmt: skip
    strip([(_("Orders"), _.number(3436), _.change(-0.26)), (_("Returned"), _.share(1, 300))])
    draw(
        div(
            [pill(tone or "–", tone) for tone in ("", "good", "bad", "warn", "accent")],
            change_pill(-0.2, True, _),
            change_pill(0.2, False, _),
            change_pill(None, True, _),
            cls="co-pills",
        )
    )
    _charts(_)
    _tables(_)
    section(_("Icons"))
    draw(div([span(icon(name), " ", name) for name in names()], cls="co-icons"))
    section(_("States"))
    empty(_("Nothing to show"), _("Why, and what to do about it."), command="cohorte run")


def _charts(_: Words) -> None:
    tokens = theme.tokens(st.context.theme.type)
    steps = [str(i) for i in range(1, 8)]
    section(_("Charts"))
    left, right = st.columns(2, gap="small")
    lines = [Line("A", COURSE, tokens.now), Line("B", COURSE[::-1], tokens.ink_faint, dashed=True)]
    with left, card("gallery-course", _("A course, with another under it")):
        legend([("A", tokens.now), ("B", tokens.ink_faint, "dash")])
        drawn = charts.course(steps, steps, lines, lambda value, short: _.number(value), _, tokens)
        plot(drawn, _("A course, with another under it"))
    with right, card("gallery-stacked", _("Columns on top of each other")):
        legend([("A", tokens.now), ("B", tokens.second)])
        columns = [Line("A", COURSE, tokens.now), Line("B", COURSE[::-1], tokens.second)]
        drawn = charts.stacked(
            steps, steps, columns, lambda value, short: _.number(value), _, tokens
        )
        plot(drawn, _("Columns on top of each other"))
    with card("gallery-flows", _("Bands between states")):
        states = {"a": ("A", "#0072B2"), "b": ("B", "#E69F00")}
        flows = [(0, "a", "a", 30), (0, "a", "b", 12), (0, "b", "a", 5), (0, "b", "b", 20)]
        plot(
            charts.alluvial(["1", "2"], flows, states, _, tokens, height=180),
            _("Bands between states"),
        )


def _tables(_: Words) -> None:
    section(_("Tables"))
    with card("gallery-table", _("A table to read")):
        columns = [Column(_("Name")), Column(_("Value"), "num first"), Column("", "wide")]
        rows = [
            [join(swatch(colour), span(name, cls="main")), _.number(n), bar(n / 30, colour)]
            for n, (name, colour) in zip((30, 20, 10), theme.OKABE_ITO.items(), strict=False)
        ]
        draw(table(columns, rows, _("A table to read")))
    open_table(
        "gallery-open",
        [Column(_("Name")), Column(_("Value"), "num first")],
        [(name, [cell(name, sub="…"), cell(_.number(12))]) for name in ("A", "B")],
        label=_("A table whose rows open something"),
    )


render()
