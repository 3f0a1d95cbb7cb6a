"""What two records of one person would not show."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import duckdb
import pytest

from models.identity.contradictions import Reliability, veto_pairs
from models.identity.linking import fill_untrained

RELIABLE = Reliability(pairs=1000, other_name_share=0.01, other_known_name_share=0.001)
UNRELIABLE = Reliability(pairs=1000, other_name_share=0.2, other_known_name_share=0.1)


def verdict(one: dict[str, Any], other: dict[str, Any], reliability: Reliability) -> str | None:
    """The veto of two records who share last name and town."""
    con = duckdb.connect()
    con.execute("""
        create table identity_records (record integer, given varchar, given_roots varchar[],
            first_roots varchar[], family varchar, birth_date date, birth_text varchar,
            postcode varchar, occupation varchar, is_known_given boolean)
    """)
    for number, said in enumerate((one, other)):
        given, born = said["given"], said.get("born")
        con.execute(
            "insert into identity_records values (?, ?, ?, ?, 'leaf', ?, ?, 'SE19', ?, true)",
            [number, given, [given], [given], born, born and f"{born:%Y%m%d}", said.get("work")],
        )
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


def test_no_way_to_agree_is_ruled_out_by_never_having_been_seen() -> None:
    levels: list[dict[str, Any]] = [
        {"m_probability": 0.9, "u_probability": 0.01},
        {"m_probability": 1e-19, "u_probability": 0.95},
        {"m_probability": None, "u_probability": 0.2},
    ]
    fill_untrained({"comparisons": [{"comparison_levels": levels}]})
    assert levels[0]["m_probability"] == 0.9
    assert all(math.log2(level["m_probability"] / level["u_probability"]) > -10 for level in levels)
