"""Every record is exactly one customer, and only what is evidence links."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorte.errors import GateError
from models.identity import IdentityReport, resolve

COLUMNS = (
    "source",
    "contact_id",
    "person_id",
    "email_key",
    "phone_key",
    "loyalty_number",
    "external_id",
    "first_name_key",
    "last_name_key",
    "birth_date",
    "created_at",
)

Record = dict[str, Any]


def contact(contact_id: str, **values: Any) -> Record:
    return {"source": "crm", "contact_id": contact_id, **values}


def stage(records: Sequence[Record]) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 1})
    con.execute("create schema staging")
    types = {"birth_date": "date", "created_at": "timestamp"}
    columns = ", ".join(f"{name} {types.get(name, 'varchar')}" for name in COLUMNS)
    con.execute(f"create table staging.stg_contacts ({columns})")
    if records:
        con.executemany(
            f"insert into staging.stg_contacts values ({', '.join('?' * len(COLUMNS))})",
            [[record.get(name) for name in COLUMNS] for record in records],
        )
    return con


def identify(
    records: Sequence[Record],
) -> tuple[IdentityReport, dict[tuple[str, str], tuple[str, str]]]:
    con = stage(records)
    report = resolve(con)
    rows = con.execute(
        "select source, contact_id, customer_id, link_rule from identity.identity_map"
    ).fetchall()
    assert len(rows) == len({row[:2] for row in rows})
    return report, {(source, key): (customer, rule) for source, key, customer, rule in rows}


def customers(records: Sequence[Record]) -> list[set[str]]:
    _, found = identify(records)
    groups: dict[str, set[str]] = {}
    for (_, contact_id), (customer_id, _) in found.items():
        groups.setdefault(customer_id, set()).add(contact_id)
    return sorted(groups.values(), key=sorted)


def test_no_contacts_give_an_empty_map() -> None:
    report, found = identify([])
    assert report.records == report.customers == report.largest_customer_records == 0
    assert found == {}


def test_one_contact_is_one_customer_on_its_own() -> None:
    report, found = identify([contact("1", email_key="a.b@site.fr")])
    [(customer_id, rule)] = found.values()
    assert rule == "single"
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{12}", customer_id)
    assert report.customers == 1


def test_the_customer_id_is_the_digest_of_the_canonical_record() -> None:
    records = [
        contact("late", email_key="ada@site.fr", created_at="2024-05-01"),
        contact("early", email_key="ada@site.fr", created_at="2024-01-01"),
        contact("undated", email_key="ada@site.fr"),
    ]
    _, found = identify(records)
    bits = int(hashlib.md5(b"crm\x1fearly", usedforsecurity=False).hexdigest()[:15], 16)
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    expected = "".join(alphabet[(bits >> shift) & 31] for shift in range(55, -1, -5))
    assert {customer for customer, _ in found.values()} == {expected}


def test_a_person_id_links_within_its_source_only() -> None:
    records = [
        contact("1", person_id="p"),
        contact("2", person_id="p"),
        {"source": "web", "contact_id": "3", "person_id": "p"},
    ]
    assert customers(records) == [{"1", "2"}, {"3"}]


@pytest.mark.parametrize("key", ["email_key", "loyalty_number", "external_id", "phone_key"])
def test_a_shared_key_links_and_names_its_rule(key: str) -> None:
    value = {"email_key": "ada@site.fr", "phone_key": "+33655443322"}.get(key, "A-1234")
    records = [
        contact("1", first_name_key="ada", last_name_key="byron", **{key: value}),
        {"source": "web", "contact_id": "2", "first_name_key": "ada", "last_name_key": "byron"}
        | {key: value},
        contact("3"),
    ]
    _, found = identify(records)
    assert [rule for _, rule in sorted(found.values(), key=lambda item: item[1])] == sorted(
        [key.removesuffix("_key"), key.removesuffix("_key"), "single"]
    )


def test_the_strongest_rule_is_the_one_that_is_told() -> None:
    records = [
        contact("1", person_id="p", email_key="ada@site.fr", phone_key="+33655443322"),
        contact("2", person_id="p", email_key="ada@site.fr", phone_key="+33655443322"),
        contact("3", email_key="ada@site.fr", phone_key="+33655443322"),
        contact("4", phone_key="+33655443322"),
    ]
    _, found = identify(records)
    assert [found[("crm", key)][1] for key in "1234"] == [
        "person_id",
        "person_id",
        "email",
        "phone",
    ]


def test_an_external_id_refers_to_the_contact_of_the_other_system() -> None:
    records = [
        {"source": "web", "contact_id": "W1"},
        {"source": "web", "contact_id": "W2"},
        {"source": "mail", "contact_id": "m1", "external_id": "w1"},
        {"source": "mail", "contact_id": "m2", "external_id": "W2"},
    ]
    assert customers(records) == [{"W1", "m1"}, {"W2", "m2"}]


def test_a_reference_that_could_mean_two_systems_links_nobody() -> None:
    records = [
        {"source": "web", "contact_id": "1"},
        {"source": "shop", "contact_id": "1"},
        {"source": "mail", "contact_id": "m1", "external_id": "1"},
    ]
    report, _ = identify(records)
    assert report.customers == 3


@pytest.mark.parametrize("key", ["email_key", "phone_key", "loyalty_number"])
def test_a_household_sharing_a_value_stays_apart(key: str) -> None:
    value = {"email_key": "byron@site.fr", "phone_key": "+33655443322"}.get(key, "A-1234")
    records = [
        contact("1", first_name_key="ada", last_name_key="byron", **{key: value}),
        contact("2", first_name_key="george", last_name_key="byron", **{key: value}),
        contact("3", last_name_key="byron", **{key: value}),
        contact("4", first_name_key="g", **{key: value}),
        contact("5", first_name_key="ada", last_name_key="byron", **{key: value}),
    ]
    assert customers(records) == [{"1", "5"}, {"2"}, {"3"}, {"4"}]


def test_a_missing_name_joins_when_all_names_agree() -> None:
    records = [
        contact("1", first_name_key="ada", last_name_key="byron", phone_key="+33655443322"),
        contact("2", first_name_key="a", last_name_key="byron", phone_key="+33655443322"),
        contact("3", phone_key="+33655443322"),
    ]
    assert customers(records) == [{"1", "2", "3"}]


def test_names_given_whole_are_names_too() -> None:
    con = stage([contact(str(number), email_key="byron@site.fr") for number in range(4)])
    con.execute("""
        alter table staging.stg_contacts add column full_name_key varchar;
        update staging.stg_contacts set full_name_key =
            ['ada byron', 'george byron', 'byron ada', 'ada'][contact_id::integer + 1]
    """)
    resolve(con)
    assert con.execute("""
        select list(contact_id order by contact_id) from identity.identity_map
        group by customer_id order by 1
    """).fetchall() == [(["0", "2", "3"],), (["1"],)]


def test_swapped_names_agree() -> None:
    records = [
        contact("1", first_name_key="ada", last_name_key="byron", phone_key="+33655443322"),
        contact("2", first_name_key="byron", last_name_key="ada", phone_key="+33655443322"),
    ]
    assert customers(records) == [{"1", "2"}]


def test_one_phone_and_two_surnames_are_two_people_unless_born_the_same_day() -> None:
    phone = "+33655443322"
    one = contact("1", first_name_key="ada", last_name_key="byron", phone_key=phone)
    two = contact("2", first_name_key="ada", last_name_key="king", phone_key=phone)
    assert customers([one, two]) == [{"1"}, {"2"}]
    born = {"birth_date": "1815-12-10"}
    assert customers([one | born, two | born]) == [{"1", "2"}]


PLACEHOLDERS = [
    ("email_key", "test@test.com"),
    ("email_key", "noreply@site.fr"),
    ("email_key", "not an address"),
    ("phone_key", "+33600000000"),
    ("phone_key", "+33612345678"),
    ("phone_key", "+331"),
    ("loyalty_number", "0000000"),
    ("loyalty_number", "N/A"),
    ("external_id", "unknown"),
    ("person_id", "guest"),
]


@pytest.mark.parametrize(("key", "value"), PLACEHOLDERS)
def test_a_placeholder_never_merges(key: str, value: str) -> None:
    records = [contact(str(number), **{key: value}) for number in range(3)]
    report, _ = identify(records)
    assert report.customers == 3
    assert report.refused_values == {f"{key.removesuffix('_key')}:placeholder": 1}


def test_placeholder_names_are_no_names() -> None:
    records = [
        contact("1", first_name_key="inconnu", email_key="ada@site.fr"),
        contact("2", first_name_key="ada", email_key="ada@site.fr"),
    ]
    assert customers(records) == [{"1", "2"}]


def test_nothing_merges_on_emptiness() -> None:
    empty = dict.fromkeys(COLUMNS[2:9], "")
    assert len(customers([contact(str(number), **empty) for number in range(5)])) == 5


@pytest.mark.parametrize(("names", "expected"), [(8, 8), (9, 18)])
def test_a_value_with_too_many_names_links_nobody(names: int, expected: int) -> None:
    firsts = ["ada", "bob", "chloe", "denis", "eve", "fritz", "gus", "hilde", "igor"][:names]
    records = [
        contact(f"{first}{copy}", first_name_key=first, last_name_key=first, email_key="c@site.fr")
        for first in firsts
        for copy in range(2)
    ]
    report, _ = identify(records)
    assert report.customers == expected
    assert ("email:too_many_names" in report.refused_values) == (names > 8)


def test_a_value_without_names_on_hundreds_of_records_links_nobody() -> None:
    records = [contact(str(number), email_key="box@site.fr") for number in range(201)]
    assert len(customers(records)) == 201


def test_a_contact_staged_twice_is_refused() -> None:
    with pytest.raises(GateError, match="staged more than once"):
        identify([contact("1"), contact("1")])


def test_a_failed_pass_leaves_the_last_map() -> None:
    con = stage([contact("1")])
    resolve(con)
    con.execute("insert into staging.stg_contacts select * from staging.stg_contacts")
    with pytest.raises(Exception, match="more than once"):
        resolve(con)
    assert con.execute("select count(*) from identity.identity_map").fetchall() == [(1,)]


FIRST_NAMES = [None, "ada", "george", "g", "allegra"]
POPULATION = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(["crm", "web"]),
            "person_id": st.sampled_from([None, None, "p1", "p2"]),
            "email_key": st.sampled_from([None, "a@site.fr", "b@site.fr", "test@test.fr"]),
            "phone_key": st.sampled_from([None, "+33655443322", "+33655443323"]),
            "loyalty_number": st.sampled_from([None, None, "L-1", "L-2"]),
            "first_name_key": st.sampled_from(FIRST_NAMES),
            "last_name_key": st.sampled_from([None, "byron"]),
            "created_at": st.sampled_from([None, "2024-01-01", "2024-02-01"]),
        }
    ),
    max_size=12,
).map(lambda rows: [row | {"contact_id": f"c{n}"} for n, row in enumerate(rows)])


@settings(max_examples=20, deadline=None)
@given(records=POPULATION, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(records: list[Record], order: Any) -> None:
    shuffled = list(records)
    order.shuffle(shuffled)
    first, found = identify(records)
    second, again = identify(shuffled)
    assert found == again
    assert first == second
    assert len(found) == len(records)


@settings(max_examples=40, deadline=None)
@given(records=POPULATION)
def test_the_components_are_those_of_a_plain_union_find(records: list[Record]) -> None:
    """The same rules, read aloud over pairs and closed by the oldest algorithm there is."""
    first_names = {"ada", "george", "allegra"}

    def agree(one: Record, two: Record) -> bool:
        a, b = one["first_name_key"], two["first_name_key"]
        return a is None or b is None or a == b or ("g" in (a, b) and {a, b} == {"g", "george"})

    parent = list(range(len(records)))

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for key in ("person_id", "email_key", "phone_key", "loyalty_number"):
        groups: dict[Any, list[int]] = {}
        for position, record in enumerate(records):
            value = record[key]
            if value is None or value == "test@test.fr":
                continue
            groups.setdefault(
                (record["source"], value) if key == "person_id" else value, []
            ).append(position)
        for members in groups.values():
            coherent = all(agree(records[a], records[b]) for a, b in combinations(members, 2))
            for a, b in combinations(members, 2):
                one, two = records[a], records[b]
                same_name = all(
                    one[name] == two[name] for name in ("first_name_key", "last_name_key")
                )
                full = (
                    one["first_name_key"] in first_names
                    and one["first_name_key"] == (two["first_name_key"])
                )
                if key == "person_id" or same_name or full or (coherent and agree(one, two)):
                    parent[root(a)] = root(b)
    expected = {
        frozenset(records[b]["contact_id"] for b in range(len(records)) if root(b) == root(a))
        for a in range(len(records))
    }
    assert {frozenset(group) for group in customers(records)} == expected


def test_olist_contacts_are_its_known_number_of_people(shared_data: Path) -> None:
    con = stage([])
    con.execute(
        """
        insert into staging.stg_contacts (source, contact_id, person_id)
        select 'olist', customer_id, customer_unique_id from read_csv(?, all_varchar = true)
        """,
        [str(shared_data / "olist" / "olist_customers_dataset.csv")],
    )
    report = resolve(con)
    assert (report.records, report.customers) == (99_441, 96_096)
    assert report.largest_customer_records == 17
