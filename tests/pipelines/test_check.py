"""A mapping becomes typed rows: transforms, values, defaults, where, distinct, versions."""

from __future__ import annotations

import duckdb
import pytest

from cohorte.contracts import contracts
from pipelines.check import column_mark, row_hash
from tests.pipelines.workbench import ORDERS, instant, order_feed

HEADER = "Ticket,Date,Montant,Client\n"


def contact_feed(columns: dict, **keys: object) -> dict:
    entities = {"contacts": {"columns": {"contact_id": "id"} | columns} | keys}
    return {"feed": "contacts", "files": "c.csv", "entities": entities}


def contacts_of(bench, columns, text, **keys):
    bench.source(contact_feed(columns, **keys), reject_limit=1)
    bench.ingest_one("c.csv", text)
    names = ", ".join(columns)
    return bench.ask(f"select {names} from contacts order by _line")


@pytest.mark.parametrize(
    ("mapped", "cells", "values"),
    [
        ("x", ["a", " b ", "", "NULL"], ["a", " b ", None, None]),
        ({"column": "x", "transform": "lower"}, ["É@X.fr"], ["é@x.fr"]),
        ({"column": "x", "transform": "upper"}, ["é"], ["É"]),
        ({"column": "x", "transform": "trim"}, [" b "], ["b"]),
        ({"column": "x", "transform": "digits"}, ["+33 (0)6-12", "none"], ["330612", None]),
        ({"column": "x", "transform": "integer"}, ["17850.0", "12", "1.5"], ["17850", "12", "1.5"]),
        ({"column": "x", "default": "?"}, ["a", ""], ["a", "?"]),
        ({"constant": "z"}, ["a"], ["z"]),
        (
            {"column": "x", "values": {"M.": "m", "O'Neil": None}},
            ["M.", "O'Neil", "q"],
            ["m", None, "q"],
        ),
        (
            {"column": "x", "transform": "lower", "values": {"oui": True, "non": False}},
            ["OUI", "Non"],
            ["true", "false"],
        ),
        (
            {
                "column": "x",
                "starts_with": {"C": "returned", "CA": "never"},
                "default": "completed",
            },
            ["C1", "CA1", "536365", ""],
            ["returned", "returned", "completed", "completed"],
        ),
        ({"columns": ["x", "id"], "separator": "-"}, ["a", ""], ["a-0", "1"]),
        ({"columns": ["x", "absent"]}, ["a", ""], ["a", None]),
    ],
)
def test_a_text_column_is_filled_as_declared(bench, mapped, cells, values):
    text = "id,x\n" + "".join(f'{n},"{cell}"\n' for n, cell in enumerate(cells))
    assert [name for (name,) in contacts_of(bench, {"full_name": mapped}, text)] == values


def test_an_unlisted_value_of_a_strict_mapping_is_rejected(bench):
    mapped = {"column": "x", "values": {"f": "female", "m": "male"}, "strict": True}
    rows = contacts_of(bench, {"gender": mapped}, "id,x\n1,f\n2,q\n3,\n")
    assert rows == [("female",), (None,)]
    assert bench.ask("select line, column_name, reason, value from rejected_rows") == [
        (3, "gender", "unknown_value", "q")
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("Oui", True), ("1", True), ("N", False), ("faux", False), ("maybe", None)],
)
def test_booleans_read_in_french_and_english(bench, text, value):
    rows = contacts_of(bench, {"is_internal": "x"}, f"id,x\n1,{text}\n")
    assert rows == ([] if value is None else [(value,)])


def test_a_constant_or_default_that_is_no_date_rejects_every_row(bench):
    assert contacts_of(bench, {"birth_date": {"constant": "soon"}}, "id\n1\n2\n") == []
    assert bench.ask("select distinct reason, value from rejected_rows") == [("not_a_date", "soon")]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"in": ["client", "l'autre"]}, ["1", "4"]),
        ({"not_in": ["client"]}, ["2", "3", "4"]),
        ({"is_known": True}, ["1", "2", "4"]),
        ({"is_known": False}, ["3"]),
    ],
)
def test_rows_that_do_not_meet_where_are_neither_accepted_nor_rejected(bench, where, kept):
    columns = {"contact_id": "id"}
    text = "id,Type\n1,client\n2,staff\n3,\n4,l'autre\n"
    rows = contacts_of(bench, columns, text, where={"column": "Type"} | where)
    assert [row[0] for row in rows] == kept
    assert bench.ask("select records, accepted, rejected from files") == [(4, 4, 0)]


def test_a_row_may_be_accepted_for_one_entity_and_rejected_for_another(bench):
    entities = ORDERS | {"order_lines": {"columns": {"order_id": "Ticket", "quantity": "Quantité"}}}
    feed = {"feed": "orders", "files": "o.csv", "entities": entities}
    bench.source(feed, reject_limit=1)
    report = bench.ingest_one(
        "o.csv",
        "Ticket,Date,Montant,Client,Quantité\nT1,2026-01-01,1,c,2\nT2,2026-01-01,1,c,two\n"
        "T3,x,y,c,z\n",
    )
    assert (report.records, report.accepted, report.rejected) == (3, 1, 2)
    assert dict(report.rows) == {"orders": 2, "order_lines": 1}
    assert bench.ask("select entity, line, reason from rejected_rows order by all") == [
        ("order_lines", 3, "not_a_number"),
        ("order_lines", 4, "not_a_number"),
        ("orders", 4, "not_a_timestamp"),
    ]


def test_distinct_keeps_the_first_of_equal_rows_of_a_file(bench):
    entities = {
        "contacts": ORDERS["orders"] | {"columns": {"contact_id": "Client"}, "distinct": True}
    }
    bench.source({"feed": "c", "files": "*.csv", "entities": entities})
    text = HEADER + "T1,2026-01-01,1,a\nT2,2026-01-01,1,b\nT3,2026-01-01,1,a\n"
    bench.deliver("1.csv", text)
    bench.deliver("2.csv", text + "T4,2026-01-01,1,a\n")
    bench.ingest()
    assert bench.ask("select _file_id, _line, contact_id from contacts order by all") == [
        (1, 2, "a"), (1, 3, "b"), (2, 2, "a"), (2, 3, "b"),
    ]  # fmt: skip


def test_distinct_with_a_version_keeps_the_latest_of_each_key_of_a_file(bench):
    mapping = {
        "distinct": True,
        "version": "updated_at",
        "columns": {"contact_id": "id", "city": "city", "updated_at": "at"},
    }
    bench.source({"feed": "c", "files": "c.csv", "entities": {"contacts": mapping}})
    bench.ingest_one(
        "c.csv", "id,city,at\n1,Paris,2026-01-02\n1,Lyon,2026-01-03\n1,Nice,\n2,Metz,\n"
    )
    assert bench.ask("select contact_id, city, _version, _line from contacts order by all") == [
        ("1", "Lyon", instant("2026-01-03 00:00:00"), 3),
        ("2", "Metz", None, 5),
    ]


@pytest.mark.parametrize(
    ("version", "wrong"), [("updated_at", "is not mapped"), ("city", "is no moment")]
)
def test_a_version_that_tells_no_moment_stops_its_feed_only(bench, version, wrong):
    bench.source(contact_feed({"city": "city"}, version=version), order_feed("o.csv"))
    bench.deliver("o.csv", HEADER + "T1,2026-01-01,1,a\n")
    report = bench.ingest_one("c.csv", "id,city\n1,Paris\n")
    assert report.status == "quarantined"
    assert f"version: {version} {wrong}" in report.messages[0]
    assert bench.ask("select count(*) from orders") == [(1,)]


def test_the_source_s_currency_and_country_fill_what_is_silent(bench):
    feed = contact_feed({"country_code": "pays"})
    bench.settings(currency="CHF")
    bench.source(feed, order_feed("o.csv"), country_code="BE")
    bench.deliver("c.csv", "id,pays\n1,FR\n2,\n")
    bench.deliver("o.csv", HEADER + "T1,2026-01-01,1,a\n")
    bench.ingest()
    assert bench.ask("select country_code from contacts order by contact_id") == [("FR",), ("BE",)]
    assert bench.ask("select currency_code from orders") == [("CHF",)]
    bench.source(order_feed("o2.csv"), name="other", currency_code="GBP")
    bench.deliver("o2.csv", HEADER + "T2,2026-01-01,1,a\n")
    bench.ingest()
    assert bench.ask("select currency_code from orders order by order_id") == [("CHF",), ("GBP",)]


def test_hostile_names_and_values_stay_text(bench):
    column = 'x"; drop table files; --'
    value = "'); drop table orders; --"
    bench.source(
        contact_feed({"full_name": column, "city": {"column": "y", "values": {value: value}}})
    )
    bench.ingest_one(
        "c.csv", f'id,"{column.replace(chr(34), chr(34) * 2)}",y,c0\n1,=1+1,{value},z\n'
    )
    assert bench.ask("select full_name, city from contacts") == [("=1+1", value)]
    assert bench.ask("select count(*) from files") == [(1,)]


def test_names_that_differ_by_case_only_are_two_columns(bench):
    bench.source(contact_feed({"full_name": "Nom", "last_name": "nom"}))
    bench.ingest_one("c.csv", "id,Nom,nom\n1,A,b\n")
    assert bench.ask("select full_name, last_name from contacts") == [("A", "b")]


def test_a_row_s_hash_is_moved_by_values_only():
    """The hash is stored: should it move, every row known would count as new."""
    row = (
        "(select 'T1' as v_order_id, 12.5::decimal(18,4) as v_gross_amount,"
        " timestamp '2026-01-05 10:30:00' as v_ordered_at, null::varchar as v_status)"
    )
    for names in (
        ["order_id", "gross_amount", "ordered_at", "status"],
        ["ordered_at", "order_id", "gross_amount"],
    ):
        assert duckdb.sql(f"select {row_hash(names)} from {row}").fetchall() == [
            (9963764574104205812,)
        ]


def test_no_two_columns_of_a_contract_share_a_mark():
    for known in contracts().values():
        marks = {column_mark(name) for name in known.column_names}
        assert len(marks) == len(known.column_names), known.entity


@pytest.mark.parametrize("keys", [{}, {"timestamp_formats": ["%Y-%m-%d %H:%M:%S"]}])
def test_times_of_a_clock_change_are_converted_by_the_stated_rule_and_counted(bench, keys):
    bench.source(order_feed(**keys), time_zone="Europe/Paris")
    text = (
        "Ticket,Date,Montant,Client\nT1,2026-10-25 02:30:00,1,C\nT2,2026-03-29 02:30:00,1,C\n"
        "T3,2026-10-25 03:30:00,1,C\nT4,2026-10-25 01:59:00,1,C\nT5,2026-03-29 03:00:00,1,C\n"
        "T6,2026-10-25 02:00:00,1,C\n"
    )
    report = bench.ingest_one("orders.csv", text)
    assert report.accepted == 6
    assert report.messages == (
        (
            "orders.csv: 2 times of orders.ordered_at happen twice that night and are read as the"
            " later, the first in line 2"
        ),
        (
            "orders.csv: 1 times of orders.ordered_at do not exist in their zone and are moved on"
            " by the clock's change, the first in line 3"
        ),
    )
    assert bench.ask("select order_id, ordered_at::varchar from orders order by 1") == [
        ("T1", "2026-10-25 01:30:00"),
        ("T2", "2026-03-29 01:30:00"),
        ("T3", "2026-10-25 02:30:00"),
        ("T4", "2026-10-24 23:59:00"),
        ("T5", "2026-03-29 01:00:00"),
        ("T6", "2026-10-25 01:00:00"),
    ]
    assert bench.ask("select dialect -> '$.doubtful_times' from files") == [
        (
            (
                '[["orders.ordered_at","ambiguous_time",2,2],'
                '["orders.ordered_at","nonexistent_time",1,3]]'
            ),
        )
    ]


def test_a_time_that_says_its_zone_is_never_in_doubt(bench):
    bench.source(order_feed(), time_zone="Europe/Paris")
    report = bench.ingest_one(
        "orders.csv",
        "Ticket,Date,Montant,Client\nT1,2026-10-25T02:30:00+02:00,1,C\nT2,2026-10-25T00:30:00Z,1,C\n",
    )
    assert report.messages == ()
