"""Amounts add up to the cent, and volumes are those of such a company."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from pipelines.demo import GeneratedCompany
from tests.pipelines.demo.conftest import CUSTOMERS


def _cents(column: str) -> pl.Expr:
    return (pl.col(column) * 100).round().cast(pl.Int64)


def test_the_lines_of_a_ticket_add_up_to_its_totals(till_lines: pl.DataFrame) -> None:
    tickets = till_lines.group_by("N° ticket").agg(
        lines=_cents("Montant HT").sum(),
        tax=_cents("Montant TVA").sum(),
        total=_cents("Total HT").first(),
        total_tax=_cents("Total TVA").first(),
        gross=_cents("Total TTC").first(),
        headers=pl.struct("Date", "Magasin", "Total HT", "Type", "Règlement").n_unique(),
    )
    assert (tickets["lines"] == tickets["total"]).all()
    assert (tickets["tax"] == tickets["total_tax"]).all()
    assert (tickets["total"] + tickets["total_tax"] == tickets["gross"]).all()
    assert (tickets["headers"] == 1).all()
    assert not till_lines.select("N° ticket", "Ligne").is_duplicated().any()


def test_a_line_is_quantity_times_price_less_discount(till_lines: pl.DataFrame) -> None:
    expected = pl.col("Qté") * _cents("Prix unitaire HT") - _cents("Remise HT")
    assert till_lines.select((expected == _cents("Montant HT")).all()).item()
    returned = till_lines.filter(pl.col("Type") == "Retour")
    assert returned.height > 0
    assert (returned.group_by("N° ticket").agg(pl.col("Total HT").first())["Total HT"] < 0).any()


def test_a_web_order_adds_up_and_is_paid_unless_cancelled(web_orders: pl.DataFrame) -> None:
    amounts = web_orders.unnest("amounts").with_columns(
        net=pl.col("lines").list.eval(pl.element().struct.field("net")).list.sum(),
        paid=pl.col("payments").list.eval(pl.element().struct.field("amount")).list.sum(),
    )
    assert ((amounts["net"] - amounts["items"]).abs() < 0.005).all()
    total = amounts["items"] + amounts["shipping"] + amounts["tax"]
    assert ((total - amounts["total"]).abs() < 0.005).all()
    cancelled = amounts.filter(pl.col("status") == "cancelled")
    assert (cancelled["paid"] == 0).all()
    kept = amounts.filter(pl.col("status") != "cancelled")
    assert ((kept["paid"] - kept["total"]).abs() < 0.005).all()


def test_a_refund_names_an_order_that_exists_and_comes_after_it(web_orders: pl.DataFrame) -> None:
    refunds = web_orders.filter(pl.col("type") == "refund")
    assert refunds.height > 0
    joined = refunds.join(
        web_orders.select(refund_of="id", sold_at="created_at", was="status"), on="refund_of"
    )
    assert joined.height == refunds.height
    assert (joined["created_at"].str.slice(0, 10) > joined["sold_at"].str.slice(0, 10)).all()
    assert (joined["was"] != "cancelled").all()


def test_an_order_that_comes_again_has_moved_on(inbox: Path) -> None:
    seen = pl.concat(
        pl.read_ndjson(path).select("id", "status", "updated_at", "amounts")
        for path in sorted((inbox / "webshop").glob("orders_*.jsonl"))
    )
    again = seen.filter(pl.col("id").is_duplicated())
    assert again.height > 0
    steps = again.group_by("id", maintain_order=True).agg(
        pl.col("status", "updated_at"), pl.col("amounts").n_unique()
    )
    assert steps["status"].list.last().is_in(["delivered", "shipped", "processing"]).all()
    assert (steps["updated_at"].list.first() <= steps["updated_at"].list.last()).all()
    assert (steps["amounts"] == 1).all()


def test_volumes_are_those_of_the_company_asked_for(
    company: GeneratedCompany,
    till_lines: pl.DataFrame,
    web_orders: pl.DataFrame,
    email_events: pl.DataFrame,
    truth: dict[str, pl.DataFrame],
    inbox: Path,
) -> None:
    orders = truth["orders"].filter(pl.col("kind") == "sale").height
    assert 2.2 < orders / CUSTOMERS < 3.4
    lines = till_lines.height + web_orders["lines"].list.len().sum()
    assert 2.0 < lines / truth["orders"].height < 2.7
    assert 4 < email_events.height / CUSTOMERS < 12
    visits = pl.scan_parquet(inbox / "web" / "visits_*.parquet").select(pl.len()).collect().item()
    assert 2 < visits / CUSTOMERS < 5
    tickets = pl.read_csv(inbox / "support" / "tickets.csv").height
    assert 0.01 < tickets / orders < 0.035
    assert truth["leads"].height == 800
    assert 0.12 < truth["leads"]["converts"].mean() < 0.23
    anonymous = till_lines.group_by("N° ticket").agg(pl.col("N° carte").first())["N° carte"]
    assert 0.15 < anonymous.null_count() / len(anonymous) < 0.5


def test_december_sells_most_and_sundays_least(till_lines: pl.DataFrame) -> None:
    days = till_lines.unique("N° ticket").select(
        day=pl.col("Date").str.slice(0, 10).str.to_date("%d/%m/%Y")
    )
    by_month = days.group_by(pl.col("day").dt.month()).len().sort("len")
    assert by_month["day"].to_list()[-1] == 12
    by_weekday = dict(days.group_by(pl.col("day").dt.weekday()).len().rows())
    assert by_weekday[6] == max(by_weekday.values())
    assert by_weekday.get(7, 0) == min(by_weekday.get(day, 0) for day in range(1, 8))


def test_nothing_happens_after_the_last_day(
    company: GeneratedCompany,
    till_lines: pl.DataFrame,
    web_orders: pl.DataFrame,
    email_events: pl.DataFrame,
    inbox: Path,
) -> None:
    last = company.until
    assert last == date(2026, 10, 31)
    sold = till_lines["Date"].str.slice(0, 10).str.to_date("%d/%m/%Y")
    assert sold.min() >= date(2023, 11, 1)
    assert sold.max() <= last
    assert web_orders["updated_at"].str.slice(0, 10).max() <= str(last)
    assert email_events["occurred_at"].max() < "2026-11-01"
    book = pl.read_excel(inbox / "crm" / "crm.xlsx", sheet_id=0)
    for sheet, column in (
        ("Leads", "Converti le"), ("Leads", "Modifié le"), ("Leads", "Premier contact le"),
        ("Affaires", "Clôturée le"), ("Affaires", "Modifiée le"), ("Étapes", "Entrée le"),
        ("Activités", "Date"), ("Comptes", "Modifié le"), ("Contacts", "Modifié le"),
    ):  # fmt: skip
        assert book[sheet][column].dt.date().max() <= last, (sheet, column)
    for name in ("tickets", "nps_answers", "csat_answers"):
        frame = pl.read_csv(inbox / "support" / f"{name}.csv")
        moments = [column for column in frame.columns if column.endswith("_at")]
        assert all(frame[column].drop_nulls().max() < "2026-11-01" for column in moments)
