"""Any KPI on screen: what is asked by the address is what the version says."""

from __future__ import annotations

import io
from datetime import date

import polars as pl
import pytest

from cohorte.kpis import Period, breakdown, catalogue, kpi_values
from cohorte.warehouse import open_served
from cohorte.workspace import Workspace
from dashboards import exports
from dashboards.language import Words
from tests.dashboards.conftest import RunScreen, rows_of, said

YEAR = Period(date(2025, 11, 1), date(2026, 11, 1))
EN = Words("en", "EUR", "Europe/Paris")


KINDS = ["orders", "cac", "churn_rate", "nps", "purchase_frequency", "resolution_time", "validity"]
"""One of each unit and span."""


@pytest.mark.parametrize("kpi_id", KINDS)
def test_every_kind_of_kpi_is_shown_with_its_figure(
    screen: RunScreen, served: Workspace, kpi_id: str
) -> None:
    app = screen("explore", lang="en", kpi=kpi_id)
    _info, connection = open_served(served)
    with connection:
        value = kpi_values(connection, [kpi_id], YEAR)[kpi_id].value
    assert not app.exception
    assert "failure" not in said(app)
    assert EN.figure(value, catalogue()[kpi_id].unit) in said(app)


def test_a_breakdown_and_a_filter_come_from_the_address(
    screen: RunScreen, served: Workspace
) -> None:
    asked = {"kpi": "net_revenue", "by": "source", "in.channel": "web", "against": "previous"}
    app = screen("explore", lang="en", **asked)
    _info, connection = open_served(served)
    with connection:
        parts = breakdown(connection, "net_revenue", "source", YEAR, {"channel": ["web"]})
    for part, value in parts.items():
        assert f'<span class="main">{part}</span>' in said(app)
        assert EN.tile_money(value.value) in said(app)
    assert "moved it most" in said(app)


def test_the_rows_behind_a_figure_lead_to_the_customers(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("explore", lang="en", kpi="new_customers", period="30d", rows="1")
    _info, connection = open_served(served)
    with connection:
        customers = connection.sql(
            "select customer_id from orders inner join customers using (customer_id)"
            " where is_first_order and not is_internal and order_date > date '2026-10-31' - 30"
        ).fetchall()
    assert set(rows_of(app, "behind-people")) <= {row[0] for row in customers}
    assert rows_of(app, "behind-people")


def test_dates_that_are_not_over_are_said_to_be_partial(screen: RunScreen) -> None:
    chosen = {"period": "custom", "from": "2026-10-15", "to": "2026-11-20"}
    app = screen("explore", lang="en", kpi="orders", **chosen)
    assert "The period is not over" in said(app)


def test_what_is_taken_away_holds_no_formula() -> None:
    table = pl.DataFrame({"part": ["=1+1", "Paris"], "value": [1.5, None]})
    assert b"'=1+1" in exports.as_csv(table)
    book = exports.as_xlsx({"a/b:c": table})
    again = pl.read_excel(io.BytesIO(book), engine="calamine")
    assert again["part"].to_list() == ["=1+1", "Paris"]
    assert again["value"].to_list() == [1.5, None]
