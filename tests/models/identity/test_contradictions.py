"""What two records of one person would not show."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import duckdb
import pytest

from models.identity.contradictions import Reliability, veto_pairs
from models.identity.linking import fill_untrained

RELIABLE = Reliability(1000, other_name_share=0.01, other_known_name_share=0.001,
    dated_pairs=1000, other_date_share=0.01)  # fmt: skip
UNRELIABLE = Reliability(1000, other_name_share=0.2, other_known_name_share=0.1,
    dated_pairs=1000, other_date_share=0.3)  # fmt: skip


def verdict(one: dict[str, Any], other: dict[str, Any], reliability: Reliability) -> str | None:
    """The veto of two records of one town, who share the last name unless another is said."""
    con = duckdb.connect()
    con.execute("""
        create table identity_records (record integer, given varchar, given_roots varchar[],
            first_roots varchar[], family varchar, birth_date date, birth_text varchar,
            postcode varchar, occupation varchar, is_known_given boolean, email varchar,
            mailbox varchar, domain varchar, is_common_domain boolean, phone varchar)
    """)
    for number, said in enumerate((one, other)):
        given, born, email = said["given"], said.get("born"), said.get("email")
        mailbox, _, domain = (email or "").partition("@")
        con.execute(
            "insert into identity_records values"
            " (?, ?, ?, ?, ?, ?, ?, 'SE19', ?, true, ?, ?, ?, ?, null)",
            [
                number, given, [given], [given], said.get("family", "leaf"), born,
                born and f"{born:%Y%m%d}", said.get("work"), email, mailbox, domain,
                domain == "post.example",
            ],
        )  # fmt: skip
    con.execute("create table identity_pairs as select 0 as record_l, 1 as record_r")
    veto_pairs(con, reliability)
    found = con.execute("select reason from identity_vetoes").fetchall()
    return found[0][0] if found else None


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"born": date(1854, 10, 10)}, {"born": date(1852, 11, 26)}, "other_first_name_and_date"),
        ({"born": date(1854, 10, 10)}, {"born": date(1854, 10, 11)}, None),
        (
            {"born": date(1853, 1, 1), "work": "painter"},
            {"born": date(1855, 1, 1), "work": "editor"},
            "other_first_name_and_date",
        ),
        ({"born": date(1853, 1, 1), "work": "painter"}, {"born": date(1855, 1, 1)}, None),
        ({"born": date(1854, 10, 10)}, {}, None),
    ],
)
def test_where_first_names_are_not_reliable_another_speaks_with_another_birth_date(
    one: dict[str, Any], other: dict[str, Any], said: str | None
) -> None:
    one, other = one | {"given": "herbert"}, other | {"given": "walter"}
    assert verdict(one, other, UNRELIABLE) == said
    assert verdict(one | {"given": "walter"}, other, UNRELIABLE) is None


def test_where_first_names_are_reliable_another_is_enough() -> None:
    assert verdict({"given": "herbert"}, {"given": "walter"}, RELIABLE) == "other_first_name"


@pytest.mark.parametrize(
    ("born", "email", "said"),
    [
        (date(1852, 11, 26), "other@post.example", "other_birth_date"),
        (date(1854, 10, 11), "other@post.example", None),
        (date(1854, 10, 3), "other@post.example", None),
        (date(1852, 11, 26), "leaf@post.example", None),
        (None, "other@post.example", None),
    ],
)
def test_where_birth_dates_are_reliable_another_is_enough_unless_an_address_is_shared(
    born: date | None, email: str, said: str | None
) -> None:
    one = {"given": "walter", "born": date(1854, 3, 10), "email": "leaf@post.example"}
    if born == date(1854, 10, 11):
        one |= {"born": date(1854, 10, 10)}
    other = {"given": "walter", "born": born, "email": email}
    assert verdict(one, other, RELIABLE) == said
    assert verdict(one, other, UNRELIABLE) is None


def test_a_last_name_of_ones_own_is_not_a_swapped_first_name() -> None:
    one, other = {"given": "olive", "family": "olive"}, {"given": "walter", "family": "olive"}
    assert verdict(one, other, RELIABLE) == "other_first_name"
    swapped = {"given": "leaf", "family": "walter"}
    assert verdict({"given": "walter"}, swapped, RELIABLE) is None


@pytest.mark.parametrize(
    ("email", "family", "said"),
    [
        ("claire.roussel@firm.example", "roussel", "other_mailbox"),
        ("claire.rouxx@firm.example", "rouxx", None),
        ("c.roux@firm.example", "roux", None),
        ("claire.roussel@other.example", "roussel", None),
    ],
)
def test_two_mailboxes_of_one_organisation_are_two_people(
    email: str, family: str, said: str | None
) -> None:
    one = {"given": "claire", "family": "roux", "email": "claire.roux@firm.example"}
    other = {"given": "claire", "family": family, "email": email}
    assert verdict(one, other, RELIABLE) == said
    common = [{**who, "email": f"{who['family']}.c@post.example"} for who in (one, other)]
    assert verdict(common[0], common[1], RELIABLE) is None


def test_no_way_to_agree_is_ruled_out_by_never_having_been_seen() -> None:
    levels: list[dict[str, Any]] = [
        {"m_probability": 0.9, "u_probability": 0.01},
        {"m_probability": 1e-19, "u_probability": 0.95},
        {"m_probability": None, "u_probability": 0.2},
    ]
    fill_untrained({"comparisons": [{"comparison_levels": levels}]})
    assert levels[0]["m_probability"] == 0.9
    assert all(math.log2(level["m_probability"] / level["u_probability"]) > -10 for level in levels)
