"""The router and the frame around every screen."""

from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path

import streamlit as st

from cohorte.clock import now
from cohorte.errors import CohorteError
from cohorte.i18n import LANGUAGES, N_, Language, language_of
from cohorte.logs import logger
from cohorte.settings import WorkspaceSettings
from dashboards import address, components, language, person, reports, theme
from dashboards.language import Words
from dashboards.markup import div, span, tag
from dashboards.queries import Served, pin, workspace

ICON = Path(__file__).parent / "static" / "icon.png"
STALE_AFTER = timedelta(hours=48)

GROUPS = {
    "today": N_("Today"),
    "people": N_("Customer base"),
    "analysis": N_("Analysis"),
    "data": N_("Sources"),
}

# One line a screen: its file, the group it stands in, its name, its icon.
SCREENS = [
    ("overview", "today", "", ":material/space_dashboard:"),
    ("objectives", "today", N_("Objectives"), ":material/flag:"),
    ("customers", "people", N_("Customers"), ":material/group:"),
    ("identity", "people", N_("Identity"), ":material/fingerprint:"),
    ("organisations", "people", N_("Organisations"), ":material/apartment:"),
    ("rfm", "people", N_("RFM"), ":material/grid_view:"),
    ("segments", "people", N_("Segments"), ":material/filter_alt:"),
    ("scores", "people", N_("Scores"), ":material/trending_up:"),
    ("groups", "people", N_("Groups"), ":material/bubble_chart:"),
    ("lookalikes", "people", N_("Lookalikes"), ":material/group_add:"),
    ("explore", "analysis", N_("Explore"), ":material/query_stats:"),
    ("retention", "analysis", N_("Retention"), ":material/autorenew:"),
    ("products", "analysis", N_("Products"), ":material/shopping_bag:"),
    ("campaigns", "analysis", N_("Campaigns"), ":material/campaign:"),
    ("sales", "analysis", N_("Leads and sales"), ":material/handshake:"),
    ("service", "analysis", N_("Service"), ":material/support_agent:"),
    ("geography", "analysis", N_("Geography"), ":material/map:"),
    ("data", "data", N_("Data"), ":material/database:"),
    ("add_source", "data", N_("Add a source"), ":material/upload_file:"),
    ("runs", "data", N_("Runs"), ":material/play_circle:"),
]

# Pages that are reached from others and stand in no menu, and where one stands while there.
WITHOUT_VERSION = frozenset({"add_source"})
BEHIND = {"customer": "customers", "customer_identity": "customers"}


def main() -> None:
    """Pin the served version, choose the language, draw the frame, run the screen."""
    reports.begin()
    st.set_page_config(page_title="Cohorte", page_icon=str(ICON), layout="wide")
    components.style()
    try:
        settings = workspace().settings
        served = pin()
    except CohorteError as error:
        language.use(language.preferred(st.context.locale, None), "EUR", "UTC")
        components.failure(error)
        return
    fallback = language.preferred(st.context.locale, settings.language)
    _ = language.use(
        _chosen_language() or fallback,
        served.currency if served else settings.currency,
        served.time_zone if served else settings.time_zone,
    )
    home = person.home([name for name, *_rest in SCREENS])
    pages = {
        name: st.Page(
            f"screens/{name}.py",
            title=_(title) if title else _.pgettext("menu", "Overview"),
            icon=symbol,
            url_path=name,
            default=name == home,
        )
        for name, _group, title, symbol in SCREENS
    }
    customer = st.Page("screens/customer.py", title=_("Customer"), url_path="customer")
    evidence = st.Page(
        "screens/customer_identity.py", title=_("Customer"), url_path="customer_identity"
    )
    gallery = st.Page("screens/gallery.py", title=_("Gallery"), url_path="gallery")
    chosen = st.navigation([*pages.values(), customer, evidence, gallery], position="hidden")
    here = chosen.url_path or home
    _rail(pages, BEHIND.get(here, here), _)
    _top_bar(settings, served, here, fallback, _)
    st.html(
        f"<script>document.documentElement.lang = '{_.code}'</script>",
        unsafe_allow_javascript=True,
    )
    try:
        if served is None and here not in WITHOUT_VERSION:
            _nothing_published(_)
        else:
            chosen.run()
    except Exception as error:
        logger().exception("screen failed", extra={"station": chosen.url_path or "overview"})
        components.failure(error)


def _chosen_language() -> Language | None:
    chosen = st.session_state.get(language.KEY) or address.asked(language.KEY, LANGUAGES)
    return language_of(chosen) if chosen else None


def _rail(pages: dict[str, st.Page], here: str, _: Words) -> None:
    with st.container(key="rail"):
        components.brand()
        with st.container(key="nav"):
            for group, heading in GROUPS.items():
                names = [name for name, its_group, *_rest in SCREENS if its_group == group]
                if not names:
                    continue
                components.nav_heading(_(heading))
                for name in names:
                    with st.container(key=f"{'here' if name == here else 'go'}-{name}"):
                        st.page_link(pages[name], width="stretch", query_params=address.link())


def _top_bar(
    settings: WorkspaceSettings, served: Served | None, here: str, fallback: str, _: Words
) -> None:
    with st.container(
        key="topbar",
        horizontal=True,
        horizontal_alignment="distribute",
        vertical_alignment="center",
        wrap=False,
    ):
        st.html(
            div(
                tag("b", served.company if served else settings.company),
                _freshness(settings, served, _),
                cls="co-served",
            )
        )
        if served is not None:
            _search(_)
            _report(served, here, _)
        _scheme(_)
        chosen = st.segmented_control(
            _("Language"),
            LANGUAGES,
            default=_.code,
            required=True,
            format_func=str.upper,
            key=language.KEY,
            label_visibility="collapsed",
        )
        address.keep(language.KEY, chosen, fallback)


def _scheme(_: Words) -> None:
    """Light, dark, or as the system has it."""
    kept = person.scheme()
    names = {"system": _("As the system"), "light": _("Light"), "dark": _("Dark")}
    with st.popover("", icon=":material/contrast:", help=_("Appearance"), key="scheme"):
        chosen = st.radio(
            _("Appearance"), names, list(names).index(kept), format_func=names.__getitem__
        )
    worn = st.context.cookies.get(theme.COOKIE, "system")
    if chosen != kept:
        person.choose_scheme(str(chosen))
    elif person.who() and kept != worn and "scheme_kept" not in st.session_state:
        person.choose_scheme(kept)


def _search(_: Words) -> None:
    """Find a customer from anywhere."""

    def look() -> None:
        st.session_state["looked_for"] = st.session_state.get("find", "")
        st.session_state["find"] = ""

    st.text_input(
        _("Find a customer"),
        key="find",
        max_chars=200,
        placeholder=_("Find a customer"),
        label_visibility="collapsed",
        icon=":material/search:",
        on_change=look,
    )
    if looked_for := st.session_state.pop("looked_for", ""):
        st.switch_page("screens/customers.py", query_params=address.link(q=looked_for))


def _report(served: Served, here: str, _: Words) -> None:
    """This page to take away. What is drawn after this is in it: it is made when asked for."""
    written = reports.record()
    about = reports.about(_)
    name = f"cohorte-{here}-{served.as_of.isoformat()}"
    with st.popover("", icon=":material/ios_share:", help=_("Take this page away")):
        st.download_button(
            _("PDF"),
            lambda: reports.as_pdf(written, about, _),
            f"{name}.pdf",
            "application/pdf",
            on_click="ignore",
            key="report-pdf",
            width="stretch",
        )
        st.download_button(
            _("One HTML file, to read offline"),
            lambda: reports.as_html(written, about, _),
            f"{name}.html",
            "text/html",
            on_click="ignore",
            key="report-html",
            width="stretch",
        )


def _freshness(settings: WorkspaceSettings, served: Served | None, _: Words) -> str:
    if served is None:
        return span(tag("i", cls="co-dot none"), _("no version published yet"), cls="co-fresh")
    published_at = served.info.published_at
    if published_at.tzinfo is None:
        published_at = published_at.replace(tzinfo=UTC)
    stale = settings.as_of is None and now() - published_at > STALE_AFTER
    data_to = _("data to {day}", day=_.day(served.as_of))
    published = _("published {ago}", ago=_.ago(published_at))
    return span(
        tag("i", cls="co-dot stale" if stale else "co-dot"),
        span(
            data_to,
            " · ",
            published,
            " · ",
            _("version {name}", name=served.info.version),
            cls="co-long",
        ),
        span(data_to, cls="co-short"),
        cls="co-fresh",
        title=_("published on {at}", at=_.at(published_at))
        + (" · " + _("not refreshed for two days or more") if stale else ""),
    )


def _nothing_published(_: Words) -> None:
    components.empty(
        _("Nothing is published yet"),
        _(
            "These screens show the customer database once a run has published it. Put the files "
            "where the sources expect them, then run the pipeline. This page needs no restart."
        ),
        symbol="database",
        command="cohorte run",
    )


main()
