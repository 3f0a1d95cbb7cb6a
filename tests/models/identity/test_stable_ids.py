"""Customer ids outlive merges, splits, new records and lost ones."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models.identity import Decision
from tests.models.identity.people import NOW, Company, Record

LATER = NOW + timedelta(days=1)


def card(contact_id: str, email: str, **values: Any) -> Record:
    first, last = values.pop("name", "anne martin").split()
    return {
        "source": "shop",
        "contact_id": contact_id,
        "email_key": email,
        "first_name_key": first,
        "last_name_key": last,
        **values,
    }


def not_same(a: str, b: str) -> Decision:
    return Decision("shop", a, "shop", b, "not_same")


def same(a: str, b: str) -> Decision:
    return Decision("shop", a, "shop", b, "same")


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def history(company: Company) -> list[tuple[str, str, str | None]]:
    return company.con.execute(
        "select event, customer_id, other_customer_id from map.customer_events order by all"
    ).fetchall()


def redirects(company: Company) -> dict[str, str]:
    return dict(
        company.con.execute(
            "select customer_id, merged_into from map.customer_ids where merged_into is not null"
        ).fetchall()
    )


def test_a_second_pass_changes_nothing(company: Company) -> None:
    company.stage([card("A", "a@x.fr"), card("B", "a@x.fr"), card("C", "c@x.fr")])
    company.resolve()
    before = company.con.execute("from map.identity_map order by all").fetchall()
    ids = company.ids()
    report = company.resolve(now=LATER)
    assert company.ids() == ids
    assert company.con.execute("from map.identity_map order by all").fetchall() == before
    changes = report.changes
    assert (changes.created, changes.merged, changes.split_off, changes.retired) == (0, 0, 0, 0)
    assert history(company) == []


def test_records_in_another_order_get_the_same_ids(tmp_path: Path) -> None:
    records = [card(name, f"{name[0]}@x.fr") for name in ("A1", "A2", "B1", "C1", "C2")]
    ids = []
    for order in (records, records[::-1]):
        company = Company(tmp_path / str(len(ids)))
        company.stage(order)
        company.resolve()
        ids.append(company.ids())
    assert ids[0] == ids[1]


def test_an_older_record_that_joins_does_not_rename(company: Company) -> None:
    company.stage([card("B", "a@x.fr", created_at="2026-01-01")])
    company.resolve()
    (kept,) = company.ids().values()
    company.stage([
        card("B", "a@x.fr", created_at="2026-01-01"), card("A", "a@x.fr", created_at="2020-01-01"),
    ])  # fmt: skip
    company.resolve(now=LATER)
    assert set(company.ids().values()) == {kept}


def test_on_a_merge_the_oldest_id_wins_and_the_others_lead_to_it_in_one_hop(
    company: Company,
) -> None:
    records = [card(name, f"{name}@x.fr") for name in "ABC"]
    company.stage(records)
    company.resolve()
    old = company.ids()
    company.resolve(decisions=[same("B", "C")], now=LATER)
    company.resolve(decisions=[same("B", "C"), same("A", "B")], now=LATER)
    assert set(company.ids().values()) == {old["A"]}
    assert redirects(company) == {old["B"]: old["A"], old["C"]: old["A"]}
    assert [event[0] for event in history(company)] == ["merged", "merged"]


def test_a_merge_taken_back_restores_the_ids_that_were(company: Company) -> None:
    company.stage([card(name, f"{name}@x.fr") for name in "ABC"])
    company.resolve()
    old = company.ids()
    company.resolve(decisions=[same("A", "B"), same("B", "C")], now=LATER)
    assert len(set(company.ids().values())) == 1
    company.resolve(now=LATER + timedelta(days=1))
    assert company.ids() == old
    assert redirects(company) == {}
    assert [event[0] for event in history(company)].count("revived") == 2


def test_on_a_split_the_larger_part_keeps_the_id_and_the_other_gets_a_new_one(
    company: Company,
) -> None:
    company.stage([card(name, "a@x.fr") for name in "ABC"])
    company.resolve()
    (old,) = set(company.ids().values())
    company.resolve(decisions=[not_same("A", "B"), not_same("A", "C")], now=LATER)
    ids = company.ids()
    assert ids["B"] == ids["C"] == old
    assert ids["A"] != old
    assert [event[0] for event in history(company)] == ["split_off"]
    company.resolve(now=LATER + timedelta(days=1))
    assert set(company.ids().values()) == {old}
    assert redirects(company) == {ids["A"]: old}


def test_an_id_whose_records_are_gone_is_retired_and_comes_back_with_them(
    company: Company,
) -> None:
    both = [card("A", "a@x.fr"), card("B", "b@x.fr")]
    company.stage(both)
    company.resolve()
    old = company.ids()
    company.stage(both[:1])
    assert company.resolve(now=LATER).changes.retired == 1
    assert company.ids() == {"A": old["A"]}
    company.stage(both)
    company.resolve(now=LATER + timedelta(days=1))
    assert company.ids() == old


def test_every_record_has_exactly_one_id_that_is_not_retired(company: Company) -> None:
    company.stage([card(name, f"{name}@x.fr") for name in "ABCDE"])
    for number, decisions in enumerate(
        ([], [same("A", "B")], [same("A", "B"), same("C", "D")], [same("B", "C")], [])
    ):
        company.resolve(decisions=decisions, now=NOW + timedelta(days=number))
        active, distinct, retired = company.con.execute("""
            select count(*), count(distinct (source, contact_id)),
                count(*) filter (ids.retired_at is not null)
            from map.identity_map join map.customer_ids as ids using (customer_id)
            where valid_to is null
        """).fetchall()[0]
        assert (active, distinct, retired) == (5, 5, 0)
        hops = company.con.execute("""
            select count(*) from map.customer_ids as a
            join map.customer_ids as b on b.customer_id = a.merged_into
            where b.retired_at is not null
        """).fetchall()
        assert hops == [(0,)]


def test_a_crash_while_the_map_is_written_leaves_the_one_before(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.stage([card("A", "a@x.fr")])
    company.resolve()
    before = company.con.execute("from map.identity_map").fetchall()
    company.stage([card("A", "a@x.fr"), card("B", "b@x.fr")])
    real = company.con

    class Failing:
        def execute(self, query: str, *more: Any) -> Any:
            if "insert into map.identity_map" in query:
                raise RuntimeError("power cut")
            return real.execute(query, *more)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    monkeypatch.setattr(company, "con", Failing())
    with pytest.raises(RuntimeError):
        company.resolve(now=LATER)
    assert real.execute("from map.identity_map").fetchall() == before
