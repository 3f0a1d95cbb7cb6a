"""What the address of a page says, in codes that do not depend on the language.

Streamlit's own binding of widgets to the address writes their labels, which change with the
language; so that links can be shared, codes are kept here instead.
"""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st


def asked(key: str, allowed: Iterable[str] | None = None) -> str | None:
    """What the address says of a key; None when it says nothing, or nothing allowed."""
    value = st.query_params.get(key)
    if value is None or (allowed is not None and value not in allowed):
        return None
    return str(value)


def keep(key: str, value: str | None, default: str | None = None) -> None:
    """Write a choice to the address; the default, and no choice, leave no trace."""
    if value in (None, "", default):
        if key in st.query_params:
            del st.query_params[key]
    elif st.query_params.get(key) != value:
        st.query_params[key] = value


def link(**parameters: str) -> dict[str, str]:
    """Parameters of a link within the product: those given, and the language when one is chosen."""
    language = asked("lang")
    return parameters | ({"lang": language} if language else {})
