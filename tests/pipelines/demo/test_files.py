"""Each system exports in its own way, and the template reads every one of them."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from cohorte.paths import templates_dir
from cohorte.segments.library import file_segments
from cohorte.sources import read_sources
from cohorte.workspace import open_workspace
from pipelines.demo import GeneratedCompany
from pipelines.ingest import IngestReport, ingest

SOURCES = {"shops", "webshop", "crm", "email", "support", "web"}
MONTHS = ("2024-03", "2025-12", "2024-T1", "2025-T4")


@pytest.fixture(scope="module")
def taken_in(
    company: GeneratedCompany, tmp_path_factory: pytest.TempPathFactory
) -> tuple[IngestReport, duckdb.DuckDBPyConnection]:
    """What ingestion makes of every single file, and of two months of the others."""
    root = tmp_path_factory.mktemp("workspace") / "company"
    shutil.copytree(templates_dir() / "demo", root)
    for path in company.files:
        is_monthly = re.search(r"_20\d\d-(\d\d|T\d)\.", path.name)
        if path.parent.parent.name == "inbox" and (
            not is_monthly or any(month in path.name for month in MONTHS)
        ):
            target = root / path.relative_to(company.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    workspace = open_workspace(root)
    report = ingest(workspace, now=datetime(2026, 11, 1, tzinfo=UTC))
    return report, duckdb.connect(str(workspace.raw_path), read_only=True)


def test_the_template_declares_six_sources_and_its_segments_read() -> None:
    template = templates_dir() / "demo"
    assert {source.source for source in read_sources(template / "sources")} == SOURCES
    segments = file_segments(template / "segments")
    assert len(segments) >= 6
    assert all({"en", "fr"} <= set(segment.names) for segment in segments)


def test_every_file_is_read_and_every_record_accounted_for(
    taken_in: tuple[IngestReport, duckdb.DuckDBPyConnection],
) -> None:
    report, _ = taken_in
    wrong = [f"{file.name}: {file.messages}" for file in report.files if file.status != "loaded"]
    assert not wrong
    assert report.records == report.accepted + report.rejected
    assert {file.source for file in report.files} == SOURCES


def test_exactly_the_rows_spoilt_on_purpose_are_rejected(
    taken_in: tuple[IngestReport, duckdb.DuckDBPyConnection], truth: dict[str, pl.DataFrame]
) -> None:
    _, raw = taken_in
    rejected = raw.execute(
        "select distinct r.source, r.feed, parse_filename(f.name), r.line, r.reason"
        " from rejected_rows r join files f using (file_id)"
    ).fetchall()
    present = {name for _, _, name, _, _ in rejected}
    planned = truth["bad_rows"].filter(pl.col("file").is_in(present)).rows()
    assert sorted(rejected) == sorted(planned)
    assert {"31/02/1975"} == {
        value
        for (value,) in raw.execute(
            "select value from rejected_rows where reason = 'not_a_date'"
        ).fetchall()
    }


def test_every_contact_of_every_source_is_in_the_truth(
    taken_in: tuple[IngestReport, duckdb.DuckDBPyConnection], truth: dict[str, pl.DataFrame]
) -> None:
    _, raw = taken_in
    known = set(
        truth["records"].filter(pl.col("entity") == "contacts").select("source", "record_id").rows()
    )
    found = set(raw.execute("select distinct _source, contact_id from contacts").fetchall())
    assert found <= known
    assert {source for source, _ in found} == SOURCES
    for entity, column in (
        ("leads", "lead_id"),
        ("tickets", "ticket_id"),
        ("surveys", "survey_id"),
    ):
        known_ids = set(truth["records"].filter(pl.col("entity") == entity)["record_id"].to_list())
        ids = {row[0] for row in raw.execute(f"select {column} from {entity}").fetchall()}
        assert ids
        assert ids <= known_ids


def test_facts_name_contacts_that_their_source_knows(
    taken_in: tuple[IngestReport, duckdb.DuckDBPyConnection],
) -> None:
    _, raw = taken_in
    facts = ("orders", "tickets", "surveys", "email_events", "leads", "opportunities", "consents")
    for entity in (*facts, "interactions", "carts", "web_events", "contracts", "loyalty"):
        strangers = raw.execute(
            f"select count(*) from {entity} f where contact_id is not null and not exists ("
            " select 1 from contacts c where c._source = f._source and c.contact_id = f.contact_id)"
            " and not exists (select 1 from rejected_rows r where r.source = f._source"
            " and contains(r.row_text, f.contact_id))"
        ).fetchall()[0][0]
        assert strangers == 0, entity


def test_tills_write_french_headers_in_windows_letters(inbox: Path) -> None:
    for path in sorted((inbox / "shops").glob("*.csv")):
        content = path.read_bytes()
        with pytest.raises(UnicodeDecodeError):
            content.decode("utf-8")
        text = content.decode("cp1252")
        assert text.count("\r\n") == text.count("\n")
    tickets = (inbox / "shops" / "tickets_2025-12.csv").read_bytes().decode("cp1252")
    header, first = tickets.split("\r\n")[:2]
    assert header.split(";")[:5] == ["N° ticket", "Date", "Magasin", "Caisse", "N° carte"]
    assert re.search(r";\d\d/\d\d/2025 \d\d:\d\d;", first)
    assert re.search(r";\d+,\d\d;", first)


def test_the_mail_platform_marks_its_files_and_writes_utc(inbox: Path) -> None:
    for path in (inbox / "email").glob("*.csv"):
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    campaigns = pl.read_csv(inbox / "email" / "campaigns.csv")
    assert campaigns["started_at"].str.ends_with("Z").all()


def test_the_workbook_holds_real_dates_and_numbers(inbox: Path) -> None:
    book = pl.read_excel(inbox / "crm" / "crm.xlsx", sheet_id=0)
    assert set(book) == {
        "Comptes", "Contacts", "Leads", "Affaires", "Étapes", "Contrats", "Activités",
    }  # fmt: skip
    assert book["Activités"]["Date"].dtype == pl.Datetime("ms")
    assert book["Affaires"]["Clôture prévue"].dtype == pl.Date
    assert book["Comptes"]["Effectif"].dtype.is_integer()


def test_web_orders_are_nested_and_times_carry_the_zone_of_their_season(
    web_orders: pl.DataFrame,
) -> None:
    summer = web_orders.filter(pl.col("created_at").str.slice(5, 2).is_in(["06", "07", "08"]))
    winter = web_orders.filter(pl.col("created_at").str.slice(5, 2).is_in(["12", "01", "02"]))
    assert summer["created_at"].str.ends_with("+02:00").all()
    assert winter["created_at"].str.ends_with("+01:00").all()
    assert web_orders["lines"].dtype == pl.List(
        pl.Struct(
            {
                "n": pl.Int64, "sku": pl.String, "title": pl.String, "qty": pl.Int64,
                "unit_price": pl.Float64, "discount": pl.Float64, "net": pl.Float64,
                "tax": pl.Float64,
            }
        )
    )  # fmt: skip


def test_no_address_could_reach_anybody(
    inbox: Path, web_orders: pl.DataFrame, email_events: pl.DataFrame
) -> None:
    customers = [pl.read_ndjson(path) for path in (inbox / "webshop").glob("customers_*.jsonl")]
    addresses = [
        email_events["email"],
        *(part["email"] for part in customers),
        pl.read_csv(inbox / "support" / "requesters.csv")["email"].drop_nulls(),
        web_orders["customer"].struct.field("email"),
    ]
    domains = Counter(
        domain
        for column in addresses
        for domain in column.str.strip_chars().str.to_lowercase().str.split("@").list.last()
    )
    slips = sum(count for domain, count in domains.items() if not domain.endswith(".example"))
    assert slips <= 0.01 * sum(domains.values())
    assert not any(domain.endswith((".com", ".fr", ".net", ".org")) for domain in domains)
