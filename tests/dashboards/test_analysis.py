"""Retention, products, sales, service and objectives: what the pages say is what the rows hold."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cohorte.intervals import likely_range
from cohorte.store import open_store
from cohorte.warehouse import open_served
from cohorte.workspace import ENVIRONMENT_VARIABLE, Workspace
from dashboards import charts, person, theme
from dashboards.language import Words
from tests.dashboards.conftest import RunScreen, component_data, rows_of, said

EN = Words("en", "EUR", "Europe/Paris")
AT = datetime(2026, 11, 1, 9, tzinfo=UTC)


def rows(workspace: Workspace, sql: str) -> list[tuple[object, ...]]:
    _info, connection = open_served(workspace)
    with connection:
        return connection.execute(sql).fetchall()


def test_the_table_of_cohorts_counts_the_customers_of_each_month(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("retention", lang="en", **{"as": "count"})
    ((base, later),) = rows(
        served,
        """
        with firsts as (
            select customer_id, min(order_date) as first_date from orders
            inner join customers using (customer_id) where is_order and not is_internal group by 1
        )
        select count(distinct customer_id) filter (month(order_date) = 6),
            count(distinct customer_id) filter (month(order_date) = 8)
        from orders inner join firsts using (customer_id)
        where is_order and first_date between date '2026-06-01' and date '2026-06-30'
            and year(order_date) = 2026
        """,
    )
    line = said(app).split('scope="row">Jun 2026</th>')[1].split("</tr>")[0]
    cells = [part.split("<")[0] for part in line.split(">") if part.split("<")[0]]
    assert (cells[0], cells[2]) == (str(base), str(later))


def test_bands_between_states_have_the_height_of_their_customers() -> None:
    states = {"a": ("A", "#000"), "b": ("B", "#fff")}
    flows = [(0, "a", "a", 3), (0, "a", "b", 1), (0, "b", "b", 2)]
    drawn = charts.alluvial(["then", "now"], flows, states, EN, theme.tokens("light"))
    bands, blocks = (layer["data"]["values"] for layer in drawn.spec["layer"])
    assert {band["flow"]: round(band["y"] - band["y2"], 6) for band in bands} == {
        "0-a-a": 3,
        "0-a-b": 1,
        "0-b-b": 2,
    }
    sizes = [round(block["y"] - block["y2"], 6) for block in blocks]
    assert sizes == [4, 2, 3, 3]
    assert drawn.rows[1] == ["then → now", "A", "B", "1"]


def test_products_are_ranked_by_what_they_sold(screen: RunScreen, served: Workspace) -> None:
    app = screen("products", lang="en")
    ((name, amount),) = rows(
        served,
        "select max(product_name), sum(net_revenue)::bigint from product_months"
        " where month >= date '2025-11-01' group by source, product_id"
        " order by sum(net_revenue) desc limit 1",
    )
    first = said(app).split("<tbody>")[2]
    assert str(name) in first.split("</tr>")[0]
    assert f"€{amount:,}" in first.split("</tr>")[0]


def test_a_share_of_few_is_said_to_be_unsure() -> None:
    low, high = likely_range(5, 10)
    assert (round(low, 3), round(high, 3)) == (0.237, 0.763)
    assert likely_range(0, 0) == (0.0, 1.0)
    assert likely_range(0, 20)[0] == 0.0


def test_the_funnel_counts_leads_by_their_month_of_entry(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("sales", lang="en")
    ((leads, converted),) = rows(
        served,
        "select count(*), count_if(is_converted) from leads left join customers"
        " using (customer_id) where leads.created_date >= date '2025-11-01'"
        " and not coalesce(is_internal, false)",
    )
    assert f"Of {leads} leads, {converted} became an opportunity" in said(app)


def test_open_tickets_stand_beside_the_times_of_service(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("service", lang="en")
    ((opened,),) = rows(
        served,
        "select sum(value)::bigint from kpi_daily where kpi_id = 'tickets_opened'"
        " and kpi_date > date '2025-10-31'",
    )
    assert f'<div class="co-kpi-value">{opened}</div>' in said(app)
    assert "nine in ten" in said(app)
    assert "not a proof" in said(app)


def test_the_people_around_a_town_are_those_within_reach(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("geography", lang="en", near="Rennes|FR", km="20")
    ((count,),) = rows(
        served,
        "select count(*) from customer_profiles where city = 'Rennes' and not is_internal",
    )
    assert f"{count} customers within 20 km" in said(app)
    assert len(rows_of(app, "nearby")) == min(25, int(str(count)))
    assert "Lyon" not in str(component_data(app, "nearby")["rows"])


@pytest.fixture
def company(served: Workspace, tmp_path: Path) -> Workspace:
    """A copy whose store may be written to."""
    shutil.copytree(served.root, tmp_path / "company")
    return Workspace(tmp_path / "company")


def test_an_objective_is_entered_followed_and_taken_away(
    screen: RunScreen, company: Workspace
) -> None:
    app = screen("objectives", root=company.root, lang="en")
    assert "No objective yet" in said(app)
    app.selectbox(key="goal-kpi").set_value("orders")
    app.number_input(key="goal-value").set_value(1000).run()
    app.button(key="goal-set").click().run()
    with open_store(company.store_url) as store:
        (target,) = store.list_targets()
    assert (target.kpi_id, target.start_date, target.end_date, target.target_value) == (
        "orders",
        date(2026, 1, 1),
        date(2027, 1, 1),
        1000,
    )
    ((orders,),) = rows(
        company,
        "select sum(value)::bigint from kpi_daily where kpi_id = 'orders'"
        " and kpi_date >= '2026-01-01'",
    )
    assert f">{orders}<" in said(app)
    assert "The objective is set." in said(app)
    app.selectbox(key="goal-gone").set_value(target.target_id).run()
    app.button(key="goal-remove").click().run()
    assert "No objective yet" in said(app)


def test_the_overview_shows_the_objective_and_the_figures_that_were_chosen(
    screen: RunScreen, company: Workspace
) -> None:
    year = (date(2026, 1, 1), date(2027, 1, 1))
    with open_store(company.store_url) as store:
        store.set_target("net_revenue", *year, Decimal(10**9), author="a test", at=AT)
        store.set_preference("", "overview", ["net_revenue", "nps"])
    app = screen("overview", root=company.root, lang="en")
    assert "is behind its objective" in said(app)
    assert "aimed at by 31 Dec 2026" in said(app)
    names = said(app).split('<div class="co-kpis">')[1].split("co-strip")[0]
    assert "Net promoter score" in names
    assert "New customers" not in names
    assert "Adds to the change" in said(app)
    revenue, buyers = (chart.proto for chart in app.get("vega_lite_chart")[:2])
    asked = _drawn(revenue, layer=2)["objective"]
    assert 1 <= len(asked) <= 12
    assert asked.sum() <= 10**9
    assert _drawn(buyers, layer=1).is_empty()
    assert "Objective</span>" in said(app)


def _drawn(chart: Any, layer: int) -> pl.DataFrame:
    """The rows of one layer of a chart as it is sent."""
    name = json.loads(chart.spec)["layer"][layer]["data"]["name"]
    sent = {part.name: part.data.data for part in chart.datasets}
    return pl.read_ipc_stream(sent[name])


@pytest.mark.parametrize(
    ("role", "chosen", "first"),
    [
        ("manager", None, "overview"),
        ("marketer", None, "customers"),
        ("data", None, "data"),
        ("marketer", "retention", "retention"),
    ],
)
def test_people_begin_on_the_page_of_their_role_or_the_one_they_chose(
    company: Workspace, monkeypatch: pytest.MonkeyPatch, role: str, chosen: str | None, first: str
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(company.root))
    monkeypatch.setattr(person, "who", lambda: "ana@example.org")
    with open_store(company.store_url) as store:
        store.save_user("ana@example.org", full_name="Ana", role=role, at=AT)
        if chosen:
            store.set_preference("ana@example.org", "home", chosen)
    assert person.home(["overview", "customers", "data", "retention"]) == first


def test_the_part_that_moved_revenue_most_is_named_on_the_overview(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("overview", lang="en", period="90d")
    effects = rows(
        served,
        """
        with sold as (
            select
                channel, region, store,
                case when order_date > date '2026-10-31' - 90 then reporting_net_amount
                    else -reporting_net_amount end as effect
            from orders left join customer_profiles using (customer_id)
            where status <> 'cancelled' and not coalesce(is_internal, false)
                and order_date > date '2026-10-31' - 180
        )
        unpivot sold on channel, region, store into name kind value part
        """,
    )
    sums: dict[tuple[object, object], Decimal] = {}
    for effect, kind, part in effects:
        sums[kind, part] = sums.get((kind, part), Decimal(0)) + Decimal(str(effect))
    largest = max(abs(value) for value in sums.values())
    assert f"{largest:,.0f}" in said(app).split("moved revenue most")[1][:80]
