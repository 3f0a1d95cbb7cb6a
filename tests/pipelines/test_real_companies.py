"""The templates of two real companies: what must come out of their files."""

from __future__ import annotations

import csv
import shutil
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from cohorte.sources import read_sources
from cohorte.warehouse import connect_reader
from cohorte.workspace import Workspace, make_workspace
from pipelines.ingest import ingest
from tests.pipelines.workbench import NOW, instant

COUNTED_LINES = "select count(*) from (select distinct _source, _row_hash, _occurrence from {})"


def ask(workspace: Workspace, sql: str) -> list[tuple[object, ...]]:
    connection = connect_reader(workspace.raw_path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def one(workspace: Workspace, sql: str) -> object:
    return ask(workspace, sql)[0][0]


def head(path: Path, target: Path, rows: int) -> None:
    """The first records of a CSV file, as they are written."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line, _ in zip(file, range(rows + 1), strict=False)]
    target.write_text("".join(lines), encoding="utf-8", newline="")


@pytest.fixture(scope="module")
def olist_slice(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("olist")
    for path in (shared_data / "olist").glob("*.csv"):
        if "reviews" not in path.name:
            head(path, folder / path.name, 500)
    workspace = make_workspace(tmp_path_factory.mktemp("company"), "olist", folder)
    return workspace, ingest(workspace, now=NOW)


def test_a_slice_of_olist_enters_whole(olist_slice):
    _, report = olist_slice
    assert {file.status for file in report.files} == {"loaded", "missing", "quarantined"}
    assert [file.feed for file in report.files if file.status != "loaded"] == [
        "reviews",
        "geolocation",
    ]
    assert report.rejected == 0
    assert report.rows == dict.fromkeys(
        ["contacts", "orders", "order_lines", "payments", "products", "accounts", "leads",
         "opportunities"],
        500,
    )  # fmt: skip


def test_olist_speaks_the_product_s_words(olist_slice):
    workspace, _ = olist_slice
    known = {"delivered", "shipped", "processing", "cancelled"}
    assert {status for (status,) in ask(workspace, "select distinct status from orders")} <= known
    assert ask(workspace, "select distinct currency_code, channel from orders") == [("BRL", "web")]
    assert ask(workspace, "select distinct country_code from contacts") == [("BR",)]
    assert one(workspace, "select category from products where _line = 2") == "perfumery"
    assert one(workspace, "select ordered_at from orders where _line = 2") == instant(
        "2016-09-05 00:15:19"
    )


def test_every_category_of_olist_has_an_english_name(shared_data):
    path = shared_data / "olist" / "product_category_name_translation.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        translated = dict(list(csv.reader(file))[1:])
    template = Path(__file__).resolve().parents[2] / "data" / "templates" / "olist" / "sources"
    (source,) = read_sources(template)
    feed = next(feed for feed in source.feeds if feed.feed == "products")
    values = feed.entities["products"].columns["category"].values
    assert values is not None
    assert values.items() >= translated.items()


@pytest.fixture(scope="module")
def retail_slice(shared_data, tmp_path_factory):
    """Three of the days that both halves hold, and one that they do not."""
    folder = tmp_path_factory.mktemp("retail")
    origin = shared_data / "online_retail"
    (folder / "by-day").mkdir()
    for day in ("2010-12-01", "2010-12-02", "2010-12-09", "2011-01-04"):
        shutil.copy(origin / "by-day" / f"{day}.csv", folder / "by-day")
    parquet = "online_retail_II_year2009_2010.parquet"
    december = f"from '{origin / parquet}' where InvoiceDate >= timestamp '2010-12-01'"
    duckdb.sql(f"copy (select * {december}) to '{folder / parquet}'")
    workspace = make_workspace(tmp_path_factory.mktemp("company"), "online_retail", folder)
    return workspace, ingest(workspace, now=NOW)


def test_typed_lines_of_the_csv_equal_those_of_the_parquet(retail_slice):
    workspace, report = retail_slice
    assert report.rejected == 0
    counts = {
        name: records
        for name, records in ask(workspace, "select name, records from files")
        if "2010-12" in str(name)
    }
    delivered = one(workspace, "select count(*) from order_lines")
    counted = one(workspace, COUNTED_LINES.format("order_lines"))
    assert delivered - counted == sum(counts.values())  # type: ignore[operator, arg-type]


def test_lines_without_a_customer_make_no_contact(retail_slice):
    workspace, _ = retail_slice
    assert one(workspace, "select count(*) from contacts where contact_id is null") == 0
    assert one(workspace, "select count(*) > 0 from orders where contact_id is null") is True
    assert one(workspace, "select count(*) from contacts where contact_id like '%.%'") == 0


def test_invoices_that_start_with_c_are_returned(retail_slice):
    workspace, _ = retail_slice
    assert ask(
        workspace,
        "select order_id[1] = 'C', status, count(*) > 0 from orders group by 1, 2 order by 1",
    ) == [(False, "completed", True), (True, "returned", True)]


@pytest.mark.full
def test_the_whole_of_olist_has_the_figures_known(shared_data, tmp_path):
    workspace = make_workspace(tmp_path, "olist", shared_data / "olist")
    report = ingest(workspace, now=NOW)
    assert {file.status for file in report.files} == {"loaded"}
    assert report.rejected == 0
    assert report.rows == {
        "contacts": 99_441,
        "orders": 99_441,
        "order_lines": 112_650,
        "payments": 103_886,
        "products": 32_951,
        "surveys": 19_986,
        "accounts": 3_095,
        "leads": 8_000,
        "opportunities": 842,
        "places": 1_000_163,
    }
    assert one(workspace, "select count(distinct person_id) from contacts") == 96_096
    assert one(workspace, "select sum(amount) from payments") == Decimal("16008872.12")
    assert one(workspace, "select count(*) from orders where status = 'delivered'") == 96_478
    keys = "select count(*) from (select distinct survey_id from surveys)"
    assert one(workspace, keys) == 19_986


LATEST = (
    "select bit_xor(hash({columns})) from (select * from {entity} qualify row_number() over"
    " (partition by {key} order by _version desc nulls last, _row_hash desc) = 1)"
)
TABLES = {
    "orders": LATEST.format(
        columns="order_id, contact_id, status, ordered_at", entity="orders", key="order_id"
    ),
    "contacts": LATEST.format(
        columns="contact_id, country_code", entity="contacts", key="contact_id"
    ),
    "products": LATEST.format(
        columns="product_id, product_name", entity="products", key="product_id"
    ),
    "order_lines": "select bit_xor(hash(_row_hash, _occurrence)) from"
    " (select distinct _row_hash, _occurrence from order_lines)",
}


@pytest.mark.full
def test_the_whole_of_online_retail_has_the_figures_known_however_it_is_delivered(
    shared_data, tmp_path
):
    """At once, and in seven deliveries in another order, the first of them twice."""
    origin = shared_data / "online_retail"
    files = sorted([*origin.glob("by-day/*.csv"), *origin.glob("*.parquet")], reverse=True)
    tables = []
    for steps in (1, 7):
        folder = tmp_path / f"files_{steps}"
        (folder / "by-day").mkdir(parents=True)
        workspace = make_workspace(tmp_path / f"company_{steps}", "online_retail", folder)
        for step in [*range(steps), 0]:
            for path in files[step::steps]:
                shutil.copy(path, folder / path.relative_to(origin))
            assert ingest(workspace, now=NOW + timedelta(days=step)).rejected == 0
        assert one(workspace, "select sum(records) from files") == 541_909 + 525_461
        assert one(workspace, COUNTED_LINES.format("order_lines")) == 1_044_847
        assert one(workspace, "select count(distinct contact_id) from contacts") == 5_942
        assert one(workspace, "select count(distinct order_id) from orders") == 53_628
        tables.append({name: one(workspace, sql) for name, sql in TABLES.items()})
    assert tables[0] == tables[1]
