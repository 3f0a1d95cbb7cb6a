"""A version that begins as a copy of the one before holds what one written whole would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from cohorte.warehouse import VersionInfo, connect_work, version_path
from cohorte.workspace import Workspace, open_workspace
from pipelines import publish as publishing
from pipelines.publish import Publication, publish, published_hashes
from tests.pipelines.test_publish import MARTS
from tests.support.published import AS_OF, build_published

PUBLICATION = Publication("run-1", AS_OF, datetime(2026, 11, 21, 5, tzinfo=UTC))
MADE_ANEW = ("version_info", "facts_")
ERASED = "Zéphyrine-Olympe"
ONE_CART = "delete from marts.carts where cart_id = (select min(cart_id) from marts.carts)"


@pytest.fixture(scope="module")
def marts(tmp_path_factory) -> Path:
    """A build database with every mart that versions have."""
    folder = tmp_path_factory.mktemp("marts")
    published = build_published(folder / "v1.duckdb", customers=40)
    path = folder / "work.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(f"attach '{published}' as held (read_only)")
        con.execute("create schema marts")
        for (name,) in con.execute(
            "select table_name from duckdb_tables() where database_name = 'held'"
        ).fetchall():
            if not name.startswith(MADE_ANEW):
                con.execute(f'create table marts."{name}" as from held."{name}"')
        con.execute(
            "create view marts.big_orders as (select order_id from work.marts.orders as o"
            " where o.net_amount > 10)"
        )
    return path


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    (tmp_path / "cohorte.yml").write_text("company: Test\nkeep_versions: 30\n", encoding="utf-8")
    opened = open_workspace(tmp_path)
    opened.make_folders()
    with closing(duckdb.connect(str(opened.raw_path))) as raw:
        raw.execute("create table contacts (_file_id integer, _row_hash ubigint, name varchar)")
        raw.execute("create table rejected_rows (file_id integer, line bigint)")
        raw.execute("insert into contacts select range % 3, hash(range), 'n' from range(30)")
    return opened


@pytest.fixture
def work(workspace, monkeypatch) -> Iterator[duckdb.DuckDBPyConnection]:
    """A build database of few tables, without facts, one with rows enough to take some over."""
    monkeypatch.setattr(publishing, "facts_to_prepare", lambda *_: [])
    with closing(connect_work(workspace)) as connection:
        connection.execute(MARTS)
        connection.execute(
            "create table marts.carts as select 'C' || lpad((range % 977)::varchar, 3, '0')"
            " as customer_id, range as cart_id, 'none' as note from range(5000)"
        )
        yield connection


@pytest.fixture
def full_work(workspace, marts) -> Iterator[duckdb.DuckDBPyConnection]:
    """A build database with every mart that versions have."""
    workspace.work_path.write_bytes(marts.read_bytes())
    with closing(connect_work(workspace)) as connection:
        yield connection


def in_raw(workspace: Workspace, work: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Alter raw, which a build database has attached to read alone."""
    work.execute("detach raw")
    with closing(duckdb.connect(str(workspace.raw_path))) as raw:
        raw.execute(statement)
    work.execute(f"attach '{workspace.raw_path}' as raw (read_only)")


def began_as_copy(info: VersionInfo) -> bool:
    """Rows were written into a table: of those written whole none was replaced."""
    return any(info.replaced_rows.values())


def same_rows(
    work: duckdb.DuckDBPyConnection, workspace: Workspace, one: VersionInfo, other: VersionInfo
) -> None:
    """Hold every table and view of two versions against each other, row by row."""
    relations = []
    for place, info in (("one", one), ("other", other)):
        work.execute(f"attach '{version_path(workspace, info.version)}' as {place} (read_only)")
        relations.append(
            work.execute(
                "select table_name, table_type, list((column_name, data_type)"
                " order by ordinal_position)"
                " from information_schema.tables join information_schema.columns"
                " using (table_catalog, table_schema, table_name)"
                " where table_catalog = ? group by all order by all",
                [place],
            ).fetchall()
        )
    assert relations[0] == relations[1]
    for name, *_ in relations[0]:
        if name != "version_info":
            for left, right in (("one", "other"), ("other", "one")):
                query = f'from {left}."{name}" except all from {right}."{name}"'
                assert work.execute(query).fetchall() == [], name
    work.execute("detach one")
    work.execute("detach other")


CHANGES = """
update marts.orders set net_amount = net_amount + 1 where order_id in
    (select order_id from marts.orders order by order_id limit 3);
insert into marts.orders from (from marts.orders order by order_id limit 2);
insert into marts.interactions from (from marts.interactions order by interaction_id limit 2);
delete from marts.tickets where ticket_id = (select min(ticket_id) from marts.tickets);
update marts.customer_profiles set full_name = null where customer_id =
    (select min(customer_id) from marts.customer_profiles);
alter table marts.carts add column basket varchar;
drop table marts.gone_next;
create table marts.come_next as select 1 as n;
drop table marts.leads_of_old;
create view marts.leads_of_old as (select lead_id from work.marts.leads);
drop view marts.big_orders;
create view marts.small_orders as (select order_id from work.marts.orders as o
    where o.net_amount < 10);
"""


def test_what_is_written_row_by_row_is_what_is_written_whole(workspace, full_work, monkeypatch):
    """In every table, view and fact, after rows of all kinds, on another day."""
    monkeypatch.setattr("cohorte.kpis.figures.STOCK_MONTHS", 3)
    full_work.execute("create table marts.gone_next as select 1 as n")
    full_work.execute("create table marts.leads_of_old as select lead_id from marts.leads")
    publish(workspace, full_work, PUBLICATION)
    full_work.execute(CHANGES)
    later = Publication("run-2", AS_OF + timedelta(days=40), PUBLICATION.published_at)
    taken = publish(workspace, full_work, later)
    whole = publish(workspace, full_work, later, anew=True)
    assert began_as_copy(taken)
    assert not began_as_copy(whole)
    assert published_hashes(taken) == published_hashes(whole)
    assert taken.facts == whole.facts
    assert set(taken.replaced_rows) == set(whole.replaced_rows)
    same_rows(full_work, workspace, taken, whole)


def test_a_table_that_is_known_to_hold_the_same_is_not_read(workspace, work, monkeypatch):
    first = publish(workspace, work, PUBLICATION)
    noted = {name: info for name, info in first.tables.items() if name != "leads"}
    monkeypatch.setattr(publishing, "contents", lambda _work: noted)
    read = []
    differences = publishing.write_differences

    def watched(connection, source, target, **how):
        read.append(source)
        return differences(connection, source, target, **how)

    monkeypatch.setattr(publishing, "write_differences", watched)
    second = publish(workspace, work, PUBLICATION)
    assert published_hashes(second) == published_hashes(first)
    assert read == ['"marts"."leads"', '"marts"."source_quality"']  # this one tells of runs


@pytest.mark.parametrize(
    ("statement", "is_copied"),
    [
        ("insert into contacts select 3, hash(range), 'n' from range(1000, 1010)", True),
        ("insert into rejected_rows values (3, 1)", True),
        ("delete from contacts where _row_hash = hash(7)", False),
        ("delete from contacts where _file_id = 2", False),
        ("update contacts set _row_hash = 1 where _row_hash = hash(7)", False),
    ],
)
def test_a_version_begins_empty_where_raw_lacks_what_it_held(workspace, work, statement, is_copied):
    publish(workspace, work, PUBLICATION)
    in_raw(workspace, work, statement)
    work.execute(ONE_CART)
    assert began_as_copy(publish(workspace, work, PUBLICATION)) is is_copied


def test_nothing_of_who_was_erased_is_left_in_the_next_file(workspace, work):
    work.execute("update marts.carts set note = ? where cart_id = 77", [ERASED])
    first = publish(workspace, work, PUBLICATION)
    assert ERASED.encode() in version_path(workspace, first.version).read_bytes()
    in_raw(workspace, work, "delete from contacts where _row_hash = hash(3)")
    work.execute("delete from marts.carts where note = ?", [ERASED])
    second = publish(workspace, work, PUBLICATION)
    assert ERASED.encode() not in version_path(workspace, second.version).read_bytes()


def test_a_version_of_other_code_is_not_copied(workspace, work, monkeypatch):
    publish(workspace, work, PUBLICATION)
    work.execute(ONE_CART)
    monkeypatch.setattr(publishing, "code_digest", lambda: "another release")
    assert not began_as_copy(publish(workspace, work, PUBLICATION))


def test_a_file_of_holes_is_not_copied(workspace, work):
    work.execute("create table marts.gone as select md5(range::varchar) as word from range(60000)")
    publish(workspace, work, PUBLICATION)
    work.execute("drop table marts.gone")
    work.execute(ONE_CART)
    holed = publish(workspace, work, PUBLICATION)
    work.execute(ONE_CART)
    last = publish(workspace, work, PUBLICATION)
    assert (began_as_copy(holed), began_as_copy(last)) == (True, False)
    assert last.bytes < holed.bytes


def test_after_a_tenth_of_its_rows_a_table_is_written_whole_in_its_order(
    workspace, work, monkeypatch
):
    monkeypatch.setattr(publishing, "MOST_FREE", 1)
    publish(workspace, work, PUBLICATION)
    found = []
    for round_ in range(4):
        work.execute(
            "insert into marts.carts select 'C' || lpad((range * 7 % 977)::varchar, 3, '0'), range,"
            " 'new' from range(?, ?)",
            [10_000 + 200 * round_, 10_200 + 200 * round_],
        )
        found.append(publish(workspace, work, PUBLICATION).replaced_rows["carts"])
    assert found == [200, 400, 0, 200]
    with duckdb.connect(str(version_path(workspace, "v4")), read_only=True) as reader:
        ids = [row[0] for row in reader.execute("select customer_id from carts").fetchall()]
    assert ids == sorted(ids)


@pytest.mark.full
def test_a_file_does_not_grow_by_being_copied(workspace, work):
    work.execute(
        "create table marts.events as select range as n, md5(range::varchar) as word"
        " from range(30000)"
    )
    sizes = [publish(workspace, work, PUBLICATION).bytes]
    for round_ in range(20):
        work.execute("update marts.events set word = md5(word) where n % 20 = ?", [round_])
        work.execute("delete from marts.events where n = ?", [round_])
        sizes.append(publish(workspace, work, PUBLICATION).bytes)
    whole = publish(workspace, work, PUBLICATION, anew=True)
    assert max(sizes) < 1.5 * whole.bytes
