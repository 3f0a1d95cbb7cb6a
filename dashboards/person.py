"""Who looks, and what they arranged for themselves."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards import queries, theme

HOMES = {"manager": "overview", "marketer": "customers", "data": "data", "admin": "data"}
"""The first page by role; the overview for whoever is not known."""


def who() -> str:
    """The person's e-mail where people sign in; empty where nobody does."""
    try:
        return str(st.user.get("email") or "") if st.user.get("is_logged_in") else ""
    except Exception:
        return ""


def preference(name: str) -> Any:
    """A choice of this person; None when they made none."""
    return queries.store().preferences(who()).get(name)


def keep(name: str, value: Any) -> None:
    """Keep a choice of this person."""
    queries.store().set_preference(who(), name, value)


def home(pages: list[str]) -> str:
    """The page this person starts on: the one they chose, else that of their role."""
    chosen = preference("home")
    if chosen in pages:
        return str(chosen)
    person = who()
    roles = {user.user_id: user.role for user in queries.store().list_users()} if person else {}
    found = HOMES.get(roles.get(person, ""), "overview")
    return found if found in pages else "overview"


def scheme() -> str:
    """The colour scheme this person chose: here, else wherever they signed in; the system's."""
    kept = preference("theme") if who() else st.context.cookies.get(theme.COOKIE)
    chosen = st.session_state.get("scheme_kept", kept)
    return str(chosen) if chosen in theme.SCHEMES else "system"


def choose_scheme(chosen: str) -> None:
    """Keep a colour scheme: in the browser, and with the person where people sign in."""
    st.session_state["scheme_kept"] = chosen
    if who():
        keep("theme", chosen)
    wear(chosen)


def wear(chosen: str) -> None:
    """Show a colour scheme: the browser keeps it and loads the page again."""
    age = 0 if chosen == "system" else 31_536_000
    st.html(
        f"<script>document.cookie='{theme.COOKIE}={chosen}; path=/; max-age={age};"
        " SameSite=Lax'; window.location.reload()</script>",
        unsafe_allow_javascript=True,
    )
