"""Every KPI on a case small enough to compute by hand, and the parts that sum to the total."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from cohorte.errors import NotFoundError, SettingsError
from cohorte.kpis import (
    KpiValue,
    Period,
    Windows,
    add_months,
    breakdown,
    buckets,
    catalogue,
    cohorts,
    compare,
    contributions,
    dimensions,
    facts_to_prepare,
    is_followed,
    kpi,
    kpi_values,
    last_days,
    month_of,
    rows_behind,
    series,
)
from cohorte.kpis.definitions import BEFORE, DIMENSIONS, MEASURES, PREPARED, STOCKS, fact_sql
from cohorte.kpis.durations import quantile, survival
from tests.support.published import build_published, create_tables, insert_rows

AS_OF = date(2026, 10, 31)
OCTOBER = Period(date(2026, 10, 1), date(2026, 11, 1))
SEPTEMBER = Period(date(2026, 9, 1), date(2026, 10, 1))
ADDITIVE = [name for name, each in catalogue().items() if each.additive]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def customer(customer_id: str, first_order: str | None = None, **more: Any) -> dict[str, Any]:
    first = date.fromisoformat(first_order) if first_order else None
    return {
        "customer_id": customer_id,
        "is_internal": False,
        "region": "Bretagne",
        "first_order_date": first,
        "is_contactable_email": False,
        "is_contactable_sms": False,
        "is_contactable_phone": False,
        "is_contactable_post": False,
        **more,
    }


def order(order_id: str, customer_id: str | None, day: str, amount: str, **more: Any) -> Any:
    net = Decimal(amount)
    return {
        "source": "shop",
        "order_id": order_id,
        "customer_id": customer_id,
        "ordered_at": at(f"{day} 12:00"),
        "order_date": date.fromisoformat(day),
        "status": "completed" if net > 0 else "returned",
        "channel": "store",
        "net_amount": net,
        "reporting_net_amount": net,
        "items_count": 1 if net > 0 else -1,
        "is_order": net > 0,
        "is_first_order": False,
        **more,
    }


def event(
    kind: str, customer_id: str | None, campaign_id: str | None, day: str, owner: str | None = None
) -> dict[str, Any]:
    return {
        "source": "mailing",
        "kind": kind,
        "customer_id": customer_id,
        "campaign_id": campaign_id,
        "interaction_date": date.fromisoformat(day),
        "owner": owner,
    }


def daily(kpi_id: str, day: str, value: str, source: str = "shop") -> dict[str, Any]:
    return {
        "kpi_id": kpi_id,
        "kpi_date": date.fromisoformat(day),
        "value": Decimal(value),
        "source": source,
    }


def line(
    order_id: str,
    customer_id: str,
    day: str,
    amount: str,
    margin: str | None,
    status: str = "completed",
    category: str = "tea",
) -> dict[str, Any]:
    return {
        "source": "shop",
        "order_id": order_id,
        "line_number": 1,
        "customer_id": customer_id,
        "order_date": date.fromisoformat(day),
        "status": status,
        "category": category,
        "quantity": Decimal(1),
        "reporting_net_amount": Decimal(amount),
        "margin_amount": Decimal(margin) if margin else None,
    }


def campaign(
    campaign_id: str, start: str, end: str, cost: str, currency: str = "EUR"
) -> dict[str, Any]:
    return {
        "source": "mailing",
        "campaign_id": campaign_id,
        "channel": "email",
        "started_at": at(f"{start} 08:00"),
        "ended_at": at(f"{end} 18:00"),
        "cost_amount": Decimal(cost),
        "currency_code": currency,
    }


# C1 bought in March, then twice in October. C2 bought for the first time on 2 October and returned
# it. C3 bought for the first time in July and again in August. C4 bought in September 2025 only.
# C9 is internal. A sale without a customer and a cancelled order stand beside.
ROWS: dict[str, list[dict[str, Any]]] = {
    "customer_profiles": [
        customer("C1", "2026-03-01", is_contactable_email=True, expected_value=Decimal(30)),
        customer(
            "C2",
            "2026-10-02",
            is_contactable_email=True,
            is_contactable_post=True,
            expected_value=Decimal(10),
        ),
        customer("C3", "2026-07-01", is_contactable_sms=True, region=None),
        customer("C4", "2025-09-20"),
        customer("C9", "2026-10-05", is_internal=True, is_contactable_email=True),
    ],
    "customers": [
        {"customer_id": f"C{number}", "is_internal": number == 9} for number in (1, 2, 3, 4, 9)
    ],
    "orders": [
        order("1", "C1", "2026-03-01", "50", is_first_order=True),
        order("2", "C1", "2026-10-10", "30", campaign_id="K1"),
        order("3", "C1", "2026-10-20", "70", channel="web"),
        order("4", "C2", "2026-10-02", "100", is_first_order=True),
        order("5", "C2", "2026-10-12", "-100"),
        order("6", "C3", "2026-07-01", "20", is_first_order=True),
        order("7", "C3", "2026-08-15", "20"),
        order("8", "C4", "2025-09-20", "40", is_first_order=True),
        order("9", "C9", "2026-10-05", "999", is_first_order=True),
        order("10", None, "2026-10-31", "12.5", channel="web"),
        order("11", "C3", "2026-10-15", "500", status="cancelled", is_order=False),
    ],
    "kpi_daily": [
        daily("net_revenue", "2026-10-01", "0.10"),
        daily("net_revenue", "2026-10-31", "0.20", "web"),
        daily("net_revenue", "2026-09-30", "0.15"),
        daily("orders", "2026-10-10", "4"),
    ],
    "order_lines": [
        line("2", "C1", "2026-10-10", "30", "10"),
        line("3", "C1", "2026-10-20", "70", None, category="cups"),
        line("6", "C3", "2026-07-01", "20", "5"),
        line("9", "C9", "2026-10-05", "999", "500"),
        line("11", "C3", "2026-10-15", "500", "100", "cancelled"),
        line("12", "C4", "2026-10-11", "8", "3"),
    ],
    "campaigns": [
        campaign("K1", "2026-10-03", "2026-10-12", "4"),
        campaign("K2", "2026-09-22", "2026-10-11", "20"),
        campaign("K3", "2026-10-01", "2026-10-31", "1000", "USD"),
        campaign("K4", "2026-01-01", "2026-01-02", "5"),
        campaign("K5", "2026-01-01", "2026-01-02", "5"),
    ],
    "touchpoints": [
        {"campaign_id": name, "customer_id": who, "kind": kind, "occurred_at": at(f"{day} 09:00")}
        for name, day in (("K4", "2026-10-10"), ("K5", "2026-10-28"))
        for who, kind in (
            ("C1", "email_sent"),
            ("C2", "email_sent"),
            ("C3", "held_out"),
            ("C4", "held_out"),
            ("C9", "email_sent"),
        )
    ],
    "carts": [
        {
            "source": "web",
            "cart_id": f"B{number}",
            "customer_id": "C1",
            "created_at": at(created),
            "amount": Decimal(30),
            "is_abandoned": is_abandoned,
        }
        for number, (created, is_abandoned) in enumerate(
            [
                ("2026-10-10 10:00", True),
                ("2026-10-11 10:00", False),
                ("2026-10-31 20:00", True),
                ("2026-09-11 10:00", True),
            ]
        )
    ],
    "identities": [
        {
            "source": "shop",
            "contact_id": "1",
            "customer_id": "C1",
            "full_name": "A",
            "email": "a@b",
            "phone": "1",
            "city": "Brest",
        },
        {
            "source": "shop",
            "contact_id": "2",
            "customer_id": "C1",
            "full_name": "A",
            "email": "a@b",
        },
        {
            "source": "web",
            "contact_id": "3",
            "customer_id": "C2",
            "full_name": "B",
            "email": "b@b",
            "postcode": "29200",
        },
    ],
    "contact_points": [
        {
            "source": "shop",
            "customer_id": "C1",
            "channel": "email",
            "contact_point": "a@b",
            "is_valid": True,
        },
        {
            "source": "shop",
            "customer_id": "C1",
            "channel": "phone",
            "contact_point": "1",
            "is_valid": False,
        },
        {
            "source": "web",
            "customer_id": "C2",
            "channel": "email",
            "contact_point": "b@b",
            "is_valid": True,
        },
    ],
    "opportunity_stages": [
        {"source": "sales", "opportunity_id": name, "stage": "offer", "entered_at": at(day)}
        for name, day in [("O0", "2026-10-02"), ("O3", "2026-09-20"), ("O5", "2026-10-25")]
    ],
    "leads": [
        {
            "source": "sales",
            "lead_id": f"L{number}",
            "created_at": at(f"{created} 09:00"),
            "created_date": date.fromisoformat(created),
            "channel": "direct",
            "is_converted": converted is not None,
            "converted_at": converted,
        }
        for number, (created, converted) in enumerate(
            [
                ("2026-10-01", at("2026-10-30 09:00")),
                ("2026-10-20", None),
                ("2026-10-31", None),
                ("2026-09-30", at("2026-10-15 09:00")),
            ]
        )
    ],
    "opportunities": [
        {
            "source": "sales",
            "opportunity_id": f"O{number}",
            "team": team,
            "created_at": at(created),
            "closed_at": at(closed) if closed else None,
            "is_won": is_won,
            "reporting_amount": Decimal(amount),
        }
        for number, (created, closed, is_won, amount, team) in enumerate(
            [
                ("2026-10-01", "2026-10-05 10:00", True, "300", "Nord"),
                ("2026-09-01", "2026-10-06 10:00", False, "100", "Nord"),
                ("2026-10-02", "2026-10-31 22:59", False, "200", "Sud"),
                ("2026-09-15", "2026-09-30 22:30", True, "400", "Sud"),
                ("2026-10-10", "2026-10-31 23:00", True, "999", "Sud"),
                ("2026-10-20", None, None, "50", "Sud"),
            ]
        )
    ],
    "interactions": [
        event("email_sent", "C1", "K1", "2026-10-03"),
        event("email_delivered", "C1", "K1", "2026-10-03"),
        event("email_opened", "C1", "K1", "2026-10-04"),
        event("email_opened", "C1", "K1", "2026-10-05"),
        event("email_clicked", "C1", "K1", "2026-10-05"),
        event("email_sent", "C2", "K1", "2026-10-03"),
        event("email_delivered", "C2", "K1", "2026-10-03"),
        event("email_unsubscribed", "C2", "K1", "2026-10-06"),
        event("email_complained", "C2", "K1", "2026-10-06"),
        event("call", "C1", None, "2026-10-08", "Ann"),
        event("call", "C1", None, "2026-10-08", "Ann"),
        event("visit", None, None, "2026-10-09"),
        event("meeting", "C9", None, "2026-10-09"),
        event("email_sent", "C3", "K1", "2026-10-03"),
        event("email_bounced", "C3", "K1", "2026-10-03"),
        event("email_sent", "C1", "K2", "2026-09-03"),
        event("email_delivered", "C1", "K2", "2026-09-03"),
        event("email_opened", "C1", "K2", "2026-10-01"),
        event("email_delivered", "C1", None, "2026-10-07"),
        event("email_sent", "C9", "K1", "2026-10-03"),
        event("email_delivered", "C9", "K1", "2026-10-03"),
    ],
    "surveys": [
        {
            "source": "support",
            "customer_id": "C1",
            "kind": kind,
            "score": score,
            "answered_at": at("2026-10-10 10:00"),
            "ticket_id": "S5" if score == 4 else None,
            "product_name": "Pot" if score in (10, 6) else None,
            "channel": "web" if kind == "nps" else "phone",
        }
        for kind, score in [
            ("nps", 10),
            ("nps", 9),
            ("nps", 8),
            ("nps", 6),
            ("nps", None),
            ("csat", 1),
            ("csat", 4),
            ("csat", 5),
        ]
    ],
    "tickets": [
        {
            "source": "support",
            "ticket_id": f"S{number}",
            "category": "complaint" if number == 5 else "delivery",
            "customer_id": "C1",
            "order_id": "2" if number == 5 else None,
            "product_name": "Pot" if number > 4 else None,
            "opened_at": at(opened),
            "first_response_at": at(answered) if answered else None,
            "resolved_at": at(resolved) if resolved else None,
            "status": status,
            "reopened_count": number,
        }
        for number, (opened, answered, resolved, status) in enumerate(
            [
                ("2026-09-01 10:00", None, "2026-10-05 10:00", "resolved"),
                ("2026-10-01 10:00", None, None, "open"),
                ("2026-10-02 10:00", "2026-10-02 12:00", "2026-10-31 23:30", "resolved"),
                ("2026-10-03 10:00", "2026-10-03 14:00", None, "closed"),
                ("2026-10-31 23:00", None, None, "open"),
                ("2026-10-10 10:00", None, "2026-10-11 10:00", "resolved"),
                ("2026-10-11 10:00", None, "2026-10-12 22:00", "resolved"),
            ]
        )
    ],
    "source_quality": [
        {
            "source": source,
            "loaded_date": date.fromisoformat(day),
            "records": records,
            "rejected": rejected,
            "last_loaded_at": at(f"{day} 06:00"),
        }
        for source, day, records, rejected in [
            ("shop", "2026-10-30", 100, 1),
            ("shop", "2026-10-31", 100, 3),
            ("web", "2026-10-29", 200, 0),
            ("web", "2026-09-29", 10, 10),
        ]
    ],
    "version_info": [
        {
            "version": "v1",
            "as_of": AS_OF,
            "published_at": at("2026-11-01 03:00"),
            "time_zone": "Europe/Paris",
            "currency": "EUR",
        }
    ],
}


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        create_tables(opened)
        for table, rows in ROWS.items():
            insert_rows(opened, table, rows)
        yield opened


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = build_published(tmp_path_factory.mktemp("published") / "v7.duckdb")
    with duckdb.connect(str(path), read_only=True) as opened:
        yield opened


def value(con: duckdb.DuckDBPyConnection, kpi_id: str, period: Period = OCTOBER) -> KpiValue:
    return kpi_values(con, [kpi_id], period)[kpi_id]


def ratio(numerator: int, denominator: int) -> Decimal:
    return Decimal(numerator) / Decimal(denominator)


# Hand-computed, for October 2026.
GOLDEN: dict[str, Decimal | None] = {
    "net_revenue": Decimal("0.30"),
    "orders": Decimal(4),
    "web_visits": Decimal(0),
    # 30 + 70 + 100 - 100 + 12.50 over orders 2, 3, 4 and 10
    "average_order_value": Decimal("112.5") / 4,
    # from November 2025: orders 1, 2, 3, 4, 6, 7 of C1, C2, C3
    "purchase_frequency": Decimal(2),
    "active_customers": Decimal(2),
    "returning_customers": Decimal(1),
    # C2 bought first in October and has not been observed for 90 days
    "repeat_rate": None,
    # nobody bought for the first time in September; see the test of retention
    "retention_rate": None,
    # C1 has 10 of margin, C3 has 5, C4 has 3; a line without a cost and a cancelled one beside
    "clv_historic": Decimal(6),
    "clv_predicted": Decimal(20),
    # all of K1's cost, 11 of the 20 days of K2; one customer won
    "cac": Decimal(15),
    # 10 of margin, 4 of cost
    "campaign_roi": Decimal("1.5"),
    # K4: 10 of margin of the two written to, 3 of the two held out, 5 of cost; K5 is too recent
    "campaign_roi_incremental": Decimal("0.4"),
    # the cart of the last evening has had no time
    "cart_abandonment": ratio(1, 2),
    # of O0, O2, O4, O5; O4 was won a minute too late to be known
    "opportunity_to_win": ratio(1, 4),
    # O4 and O5
    "pipeline_value": Decimal(1049),
    # the calls of C1 and a visit to someone unknown
    "sales_activities": Decimal(3),
    # Ann's two calls of one day; nobody is named for the visit
    "sales_activity": Decimal(2),
    # of the four mailed, C3 bounced
    "delivery_rate": ratio(3, 4),
    "click_to_open": Decimal(1),
    # C1 ordered seven days after K1, and three after the other e-mail
    "conversion_rate": ratio(2, 3),
    "complaint_rate": ratio(1, 3),
    "csat": ratio(2, 3),
    # S0, S5 and S6 were resolved in October as Paris has it; one answer names S5
    "survey_response_rate": ratio(1, 3),
    # 2, 4, 24, 36 hours, and one that waits
    "first_response_time": Decimal(24),
    # 24 and 36 hours, and two that are open
    "resolution_time": Decimal(36),
    # order 2, of orders 2, 3, 4, 10
    "complaint_order_rate": ratio(1, 4),
    "completeness": ratio(9, 12),
    "validity": ratio(2, 3),
    "duplicate_rate": ratio(1, 3),
    # active on 1 October, ordered since 1 October 2025: C1 and C3; both ordered since November 2025
    "churn_rate": Decimal(0),
    "lead_to_opportunity": ratio(1, 3),
    # O0 won, O1 and O2 lost; O3 was closed on 1 October in Paris; O4 in November
    "win_rate": ratio(2, 4),
    # delivered: C1 of K1, C2 of K1, C1 without campaign
    "open_rate": ratio(1, 3),
    "click_rate": ratio(1, 3),
    "unsubscribe_rate": ratio(1, 3),
    # two promoters, one detractor, four answers
    "nps": Decimal(25),
    # S1 is open; S2 was resolved after midnight in Paris; S4 was opened after it
    "ticket_backlog": Decimal(2),
    "consent_coverage": ratio(3, 4),
    "reject_rate": ratio(4, 400),
    # web, loaded on 29 October at 6; published on 1 November at 3
    "freshness_hours": Decimal(69),
}


@pytest.mark.parametrize("kpi_id", GOLDEN)
def test_the_kpi_is_what_one_computes_by_hand(con: duckdb.DuckDBPyConnection, kpi_id: str) -> None:
    assert value(con, kpi_id).value == GOLDEN[kpi_id]


# The additive KPIs of the daily totals, computed from their facts.
BY_PARTS: dict[str, tuple[str, dict[str | None, int | str]]] = {
    "net_revenue": ("channel", {"store": 30, "web": "82.5"}),
    "orders": ("channel", {"store": 2, "web": 2}),
    "items_sold": ("channel", {"store": 1, "web": 2}),
    "returned_amount": ("channel", {"store": 100, "web": 0}),
    "new_customers": ("channel", {"store": 1, "web": 0}),
    "leads_created": ("channel", {"direct": 3}),
    "leads_converted": ("channel", {"direct": 2}),
    "opportunities_won": ("team", {"Nord": 1, "Sud": 1}),
    "tickets_opened": ("category", {"delivery": 4, "complaint": 1}),
    "emails_sent": ("campaign_id", {"K1": 3}),
    "emails_opened": ("campaign_id", {"K1": 2, "K2": 1}),
    "emails_clicked": ("campaign_id", {"K1": 1}),
}


@pytest.mark.parametrize("kpi_id", BY_PARTS)
def test_the_parts_are_what_one_computes_by_hand(
    con: duckdb.DuckDBPyConnection, kpi_id: str
) -> None:
    dimension, expected = BY_PARTS[kpi_id]
    found = {part: each.value for part, each in breakdown(con, kpi_id, dimension, OCTOBER).items()}
    for part, amount in expected.items():
        assert found.pop(part, Decimal(0)) == Decimal(amount), part
    assert not any(found.values())


def test_revenue_by_category_of_product_sums_to_the_revenue_of_orders(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Orders 4, 5 and 10 have no lines: they stand without a category."""
    found = breakdown(con, "net_revenue", "product_category", OCTOBER)
    said = {part: each.value for part, each in found.items()}
    assert said == {"cups": Decimal(70), "tea": Decimal(30), None: Decimal("12.5")}
    tea = {"product_category": ("tea",)}
    assert kpi_values(con, ["items_sold"], OCTOBER, tea)["items_sold"].value == 1
    assert rows_behind(con, "net_revenue", OCTOBER, tea)["order_id"].to_list() == ["2"]
    effects = contributions(con, "net_revenue", "product_category", OCTOBER)
    assert {each.part: each.effect for each in effects} == said


def test_cohorts_are_followed_from_their_first_order(con: duckdb.DuckDBPyConnection) -> None:
    """C3 came in July and ordered in August; C2 came in October and returned it."""
    found = cohorts(con, "net_revenue", "month", 4)
    assert {str(day): [each.value for each in values] for day, values in found.items()} == {
        "2026-07-01": [20, 20, 0, 0],
        "2026-08-01": [0, 0, 0],
        "2026-09-01": [0, 0],
        "2026-10-01": [0],
    }
    buyers = cohorts(con, "active_customers", "quarter", 4)
    assert [int(each.value or 0) for each in buyers[date(2026, 1, 1)]] == [1, 0, 0, 1]
    assert [int(each.value or 0) for each in buyers[date(2026, 7, 1)]] == [1, 0]
    (last, *_none) = cohorts(con, "orders", "year", 2, {"channel": ("web",)})[date(2026, 1, 1)]
    assert last.value == 1
    assert not is_followed("purchase_frequency")
    with pytest.raises(SettingsError, match="not told of cohorts"):
        cohorts(con, "nps", "month", 3)


def test_service_is_told_by_product_and_answers_by_channel(
    con: duckdb.DuckDBPyConnection,
) -> None:
    def by(kpi_id: str, name: str) -> dict[str | None, Decimal | None]:
        return {part: each.value for part, each in breakdown(con, kpi_id, name, OCTOBER).items()}

    assert by("tickets_opened", "product_name") == {None: 3, "Pot": 2}
    assert by("resolution_time", "product_name") == {"Pot": 24, None: None}
    assert by("nps", "product_name") == {None: 50, "Pot": 0}
    assert by("csat", "channel") == {"phone": ratio(2, 3)}


def test_what_publishing_prepared_gives_the_same_figures(tmp_path: Path) -> None:
    path = build_published(tmp_path / "v7.duckdb", customers=120)
    with duckdb.connect(str(path)) as opened:
        found = opened.sql("select table_name from duckdb_tables()").fetchall()
        written = (*PREPARED, *STOCKS, BEFORE)
        assert {f"facts_{fact}" for fact in written} <= {name for (name,) in found}

        quarter = last_days(90, AS_OF)
        moments = opened.sql(f"select distinct known_until from facts_{BEFORE}").fetchall()
        assert {(quarter.start,), (quarter.previous().start,)} < set(moments)

        def all_figures() -> dict[str, Any]:
            period = Period(date(2026, 5, 1), date(2026, 11, 1))
            return (
                {
                    kpi_id: [
                        kpi_values(opened, [kpi_id], period),
                        *(breakdown(opened, kpi_id, name, period) for name in dimensions(kpi_id)),
                    ]
                    for kpi_id, measure in MEASURES.items()
                    if measure.fact in written
                }
                | {
                    f"{kpi_id} by month": [
                        series(opened, kpi_id, "month", period),
                        sorted(map(str, rows_behind(opened, kpi_id, period).rows())),
                    ]
                    for kpi_id in ("ticket_backlog", "weighted_forecast")
                }
                | {
                    f"{kpi_id} by segment": breakdown(opened, kpi_id, BEFORE, quarter)
                    for kpi_id in ("net_revenue", "purchase_frequency")
                }
            )

        prepared = all_figures()
        for fact in written:
            opened.execute(f"drop table facts_{fact}")
        assert all_figures() == prepared


def test_every_kpi_has_a_case_computed_by_hand() -> None:
    assert set(catalogue()) == {*GOLDEN, *BY_PARTS, "weighted_forecast"}


def test_the_forecast_weighs_what_is_open_by_what_came_of_its_like(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """O4 is in no stage: two of the four closed were won, (2 + 10 x 3/6) / 14. O5 is in the stage
    of which both closed were won, (2 + 10 x 3/4) / 12."""
    found = value(con, "weighted_forecast")
    assert found.value is not None
    assert found.beside["margin"] is not None
    assert float(found.value) == pytest.approx(999 * 0.5 + 50 * 9.5 / 12)
    rest = 9.5 / 12 * 2.5 / 12 * 50**2
    assert float(found.beside["margin"]) == pytest.approx(1.96 * (0.25 * 999**2 + rest) ** 0.5)


def test_retention_follows_those_who_came_in_the_period_before(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """C3 came in July and ordered in August; C1 came in March and did not order in April."""
    august = Period(date(2026, 8, 1), date(2026, 9, 1))
    april = Period(date(2026, 4, 1), date(2026, 5, 1))
    assert value(con, "retention_rate", august).value == 1
    assert value(con, "retention_rate", april).value == 0


def test_waits_that_go_on_hold_the_median_back() -> None:
    ended = {1.0: 2, 5.0: 1}
    assert quantile(survival(ended, {}), 0.5) == 1
    assert quantile(survival(ended, {9.0: 2}), 0.5) == 5
    assert quantile(survival(ended, {9.0: 9}), 0.5) is None
    assert survival({}, {3.0: 4}) == []
    # one leaves unanswered before the second ends: 4 of 5, then 2 of 3 of those
    (first, second) = survival({1.0: 1, 3.0: 1}, {2.0: 1, 4.0: 2})
    assert first == (1.0, 0.8)
    assert second == (3.0, pytest.approx(0.8 * 2 / 3))


def test_the_effects_of_the_parts_sum_to_the_change(published: duckdb.DuckDBPyConnection) -> None:
    quarter = last_days(90, AS_OF)
    for kpi_id, dimension in [
        ("net_revenue", "channel"),
        ("orders", "region"),
        ("average_order_value", "store"),
        ("win_rate", "team"),
        ("open_rate", "campaign_id"),
        ("net_revenue", BEFORE),
        ("average_order_value", BEFORE),
    ]:
        whole = compare(published, [kpi_id], quarter)[kpi_id].change
        parts = contributions(published, kpi_id, dimension, quarter)
        assert whole is not None
        assert abs(sum(each.effect for each in parts) - whole) < Decimal("1e-12"), kpi_id
        assert all(abs(each.level + each.weight - each.effect) < Decimal("1e-12") for each in parts)
    with pytest.raises(SettingsError, match="do not add up"):
        contributions(published, "active_customers", "channel", quarter)


def test_a_part_that_was_not_there_before_counts_whole(con: duckdb.DuckDBPyConnection) -> None:
    summer = Period(date(2026, 7, 1), date(2026, 9, 1))
    found = contributions(con, "net_revenue", "channel", summer)
    assert [(each.part, each.effect, each.before) for each in found] == [("store", 40, None)]


def test_each_period_is_told_by_the_segments_that_customers_were_in_before_it() -> None:
    """C1 had bought nothing before August, and before September twice, lately, and for most."""
    cells = {(4, 4): "best", (3, 2): "fair", (2, 2): "poor"}
    with duckdb.connect() as con:
        create_tables(con)
        insert_rows(con, "version_info", ROWS["version_info"])
        insert_rows(con, "customer_profiles", [customer("C1"), customer("C2")])
        insert_rows(
            con,
            "rfm_segments",
            [
                {"recency_score": r, "frequency_monetary_score": fm, "rfm_segment": name}
                for (r, fm), name in cells.items()
            ],
        )
        insert_rows(
            con,
            "orders",
            [
                order("1", "C2", "2026-01-01", "10"),
                order("2", "C1", "2026-08-01", "100"),
                order("3", None, "2026-08-05", "5"),
                order("4", "C1", "2026-08-30", "100"),
                order("5", "C1", "2026-09-10", "40"),
                order("6", "C2", "2026-09-15", "25"),
                order("7", None, "2026-09-20", "7"),
            ],
        )
        told = contributions(con, "net_revenue", BEFORE, SEPTEMBER)
        august, september = ({BEFORE: [name]} for name in ("prospect", "best"))
        rows = rows_behind(con, "orders", SEPTEMBER, september)
        first = kpi_values(con, ["orders"], SEPTEMBER.previous(), august)["orders"]
    assert {each.part: each.effect for each in told} == {
        "prospect": -200,
        "best": 40,
        "poor": 25,
        None: 2,
    }
    assert rows["order_id"].to_list() == ["5"]
    assert first.value == 2


ROWS_BEHIND = {
    "net_revenue": 5,
    "orders": 4,
    "returned_amount": 1,
    "new_customers": 1,
    "active_customers": 3,
    "purchase_frequency": 6,
    "clv_historic": 3,
    "cac": 3,
    "cart_abandonment": 2,
    "lead_to_opportunity": 3,
    "opportunities_won": 2,
    "pipeline_value": 2,
    "open_rate": 3,
    "click_to_open": 1,
    "conversion_rate": 3,
    "csat": 3,
    "first_response_time": 5,
    "ticket_backlog": 2,
    "complaint_order_rate": 4,
    "duplicate_rate": 3,
    "reject_rate": 3,
}


@pytest.mark.parametrize("kpi_id", ROWS_BEHIND)
def test_the_rows_behind_a_figure_are_those_it_counts(
    con: duckdb.DuckDBPyConnection, kpi_id: str
) -> None:
    assert len(rows_behind(con, kpi_id, OCTOBER)) == ROWS_BEHIND[kpi_id]


def test_the_rows_behind_a_figure_keep_to_the_filters(con: duckdb.DuckDBPyConnection) -> None:
    rows = rows_behind(con, "orders", OCTOBER, {"channel": ["web"]})
    assert rows["order_id"].to_list() == ["10", "3"]
    assert rows_behind(con, "consent_coverage", SEPTEMBER).is_empty()
    with pytest.raises(SettingsError, match="not known by"):
        rows_behind(con, "nps", OCTOBER, {"team": ["Nord"]})


def test_what_must_be_read_with_a_figure_stands_beside_it(con: duckdb.DuckDBPyConnection) -> None:
    assert value(con, "average_order_value").beside == {"median": Decimal(50)}
    assert value(con, "repeat_rate").beside == {"left_out": Decimal(1)}
    assert value(con, "win_rate").beside["by_value"] == Decimal("0.7")
    assert value(con, "ticket_backlog").beside == {"reopened": Decimal(2)}
    assert value(con, "nps").denominator == 4
    # 1.96 x sqrt((4.5/7 - (1/7)^2) / 7) in points
    margin = value(con, "nps").beside["margin"]
    assert margin is not None
    assert round(margin, 3) == Decimal("58.447")
    assert value(con, "consent_coverage").beside["email"] == Decimal("0.5")


def test_the_repeat_rate_counts_second_orders_within_the_window_of_days(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """C3 came back after 45 days, C1 after 223, C4 never; C2 cannot be judged."""
    ever = Period(date(2025, 1, 1), date(2026, 11, 1))

    def rate(days: int) -> Decimal | None:
        found = kpi_values(con, ["repeat_rate"], ever, windows=Windows(repeat_days=days))
        return found["repeat_rate"].value

    assert rate(44) == 0
    assert rate(45) == ratio(1, 3)
    assert rate(223) == ratio(1, 2)
    assert rate(29) == 0
    assert rate(500) is None


def test_churn_counts_those_whose_window_ran_out_in_the_period(
    con: duckdb.DuckDBPyConnection,
) -> None:
    year = Period(date(2026, 1, 1), date(2026, 10, 1))
    churned = kpi_values(con, ["churn_rate"], year, windows=Windows(lapse_days=365))["churn_rate"]
    assert (churned.numerator, churned.denominator) == (1, 1)
    short = kpi_values(con, ["churn_rate"], OCTOBER, windows=Windows(lapse_days=60))["churn_rate"]
    assert (short.numerator, short.denominator) == (1, 1)


def test_figures_seen_from_an_earlier_period_know_nothing_later(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert value(con, "ticket_backlog", SEPTEMBER).value == 1
    assert value(con, "freshness_hours", SEPTEMBER).value == 40
    assert value(con, "consent_coverage", SEPTEMBER).value is None
    assert value(con, "open_rate", SEPTEMBER).value == 1


def test_deliveries_are_told_until_publication_when_the_data_stopped_earlier() -> None:
    """A company whose last known day is years ago loads its files today."""
    with duckdb.connect() as con:
        create_tables(con)
        insert_rows(con, "version_info", [{**ROWS["version_info"][0], "as_of": date(2018, 10, 17)}])
        insert_rows(con, "source_quality", ROWS["source_quality"])
        latest = last_days(30, date(2018, 10, 17))
        assert value(con, "reject_rate", latest).value == ratio(14, 410)
        assert value(con, "freshness_hours", latest).value == 69
        assert value(con, "reject_rate", latest.previous()).value is None


def test_a_ratio_over_nothing_is_no_figure_and_a_count_of_nothing_is_zero(
    con: duckdb.DuckDBPyConnection,
) -> None:
    empty = Period(date(2020, 1, 1), date(2020, 2, 1))
    for kpi_id, found in kpi_values(con, catalogue(), empty).items():
        if MEASURES[kpi_id].denominator is not None:
            assert found.value is None, kpi_id
        elif kpi(kpi_id).additive:
            assert found.value == 0, kpi_id


def test_a_period_that_is_not_over_says_so(con: duckdb.DuckDBPyConnection) -> None:
    assert not value(con, "orders").is_partial
    unfinished = Period(date(2026, 10, 15), date(2026, 11, 15))
    found = kpi_values(con, catalogue(), unfinished)
    assert all(each.is_partial for each in found.values())


def test_a_comparison_is_with_the_period_before(con: duckdb.DuckDBPyConnection) -> None:
    found = compare(con, ["net_revenue", "orders", "repeat_rate"], OCTOBER)
    assert found["net_revenue"].change == Decimal("0.15")
    assert found["net_revenue"].change_ratio == 1
    assert (found["orders"].change, found["orders"].change_ratio) == (4, None)
    assert found["repeat_rate"].change is None


def test_a_breakdown_has_a_part_for_the_unknown(con: duckdb.DuckDBPyConnection) -> None:
    assert {
        part: found.value
        for part, found in breakdown(con, "active_customers", "channel", OCTOBER).items()
    } == {"store": 2, "web": 1}
    by_region = breakdown(con, "average_order_value", "region", OCTOBER)
    assert {part: found.numerator for part, found in by_region.items()} == {
        "Bretagne": 100,
        None: Decimal("12.5"),
    }


def test_filters_keep_what_they_name_and_unknown_is_a_value(
    con: duckdb.DuckDBPyConnection,
) -> None:
    def revenue(**filters: list[str | None]) -> Decimal | None:
        found = kpi_values(con, ["average_order_value"], OCTOBER, filters)
        return found["average_order_value"].numerator

    assert revenue(channel=["web"]) == Decimal("82.5")
    assert revenue(channel=["web"], region=["Bretagne"]) == 70
    assert revenue(region=[None]) == Decimal("12.5")
    assert revenue(region=[None, "Bretagne"]) == Decimal("112.5")
    assert revenue(region=["'; drop table orders; --"]) is None
    assert revenue(region=[]) is None


def test_additive_kpis_filtered_by_source_come_from_the_daily_totals(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = kpi_values(con, ["net_revenue"], OCTOBER, {"source": ["web"]})
    assert found["net_revenue"].value == Decimal("0.20")


def test_a_series_has_every_bucket_that_is_known(con: duckdb.DuckDBPyConnection) -> None:
    autumn = Period(date(2026, 9, 1), date(2026, 12, 1))
    monthly = series(con, "net_revenue", "month", autumn)
    assert [(start.month, found.value) for start, found in monthly] == [
        (9, Decimal("0.15")),
        (10, Decimal("0.30")),
    ]
    days = series(con, "orders", "day", last_days(30, AS_OF))
    assert len(days) == 30
    assert sum(found.value or 0 for _, found in days) == 4
    quarterly = Period(date(2026, 8, 1), date(2026, 11, 1))
    returning = series(con, "returning_customers", "month", quarterly)
    assert [found.value for _, found in returning] == [1, 0, 1]
    backlog = series(con, "ticket_backlog", "month", quarterly)
    assert [found.value for _, found in backlog] == [0, 1, 2]
    ratios = series(con, "win_rate", "month", quarterly)
    assert [found.value for _, found in ratios] == [None, None, Decimal("0.5")]


@pytest.mark.parametrize("kpi_id", list(catalogue()))
def test_a_series_of_one_bucket_is_the_figure_of_the_period(
    con: duckdb.DuckDBPyConnection, kpi_id: str
) -> None:
    ((start, found),) = series(con, kpi_id, "month", OCTOBER)
    assert start == OCTOBER.start
    assert found == value(con, kpi_id)


# On an invented company


YEAR = Period(date(2025, 11, 1), date(2026, 11, 1))


@pytest.mark.parametrize("kpi_id", ADDITIVE)
def test_the_parts_of_an_additive_kpi_sum_to_its_total(
    published: duckdb.DuckDBPyConnection, kpi_id: str
) -> None:
    whole = value(published, kpi_id, YEAR).value
    assert whole
    for dimension in dimensions(kpi_id):
        parts = breakdown(published, kpi_id, dimension, YEAR)
        assert sum(part.value or 0 for part in parts.values()) == whole, dimension
    for grain in ("week", "month"):
        assert sum(part.value or 0 for _, part in series(published, kpi_id, grain, YEAR)) == whole


@pytest.mark.parametrize("kpi_id", [name for name in MEASURES if name not in ADDITIVE])
def test_every_breakdown_of_every_other_kpi_works(
    published: duckdb.DuckDBPyConnection, kpi_id: str
) -> None:
    whole = value(published, kpi_id, YEAR)
    for dimension in dimensions(kpi_id):
        parts = breakdown(published, kpi_id, dimension, YEAR)
        assert parts
        if whole.denominator is not None and "distinct" not in str(MEASURES[kpi_id].denominator):
            assert sum(part.denominator or 0 for part in parts.values()) == whole.denominator


def test_monthly_figures_agree_with_the_published_months(
    published: duckdb.DuckDBPyConnection,
) -> None:
    frame = published.sql("from kpi_monthly order by month").pl()
    whole = Period(frame["month"].min(), OCTOBER.end)  # type: ignore[arg-type]
    for kpi_id in ("net_revenue", "orders", "active_customers", "returning_customers"):
        monthly = {start: found.value for start, found in series(published, kpi_id, "month", whole)}
        for row in frame.to_dicts():
            assert monthly[row["month"]] == row[kpi_id], (kpi_id, row["month"])


def test_a_published_file_answers_in_the_sandbox(tmp_path: Path) -> None:
    from cohorte.warehouse import connect_reader

    path = build_published(tmp_path / "v1.duckdb", customers=20)
    with connect_reader(path) as con:
        assert len(kpi_values(con, catalogue(), YEAR)) == len(catalogue())


# Definitions


def test_every_kpi_is_measured_and_said_in_both_languages() -> None:
    assert set(catalogue()) == set(MEASURES)
    for defined in catalogue().values():
        for language in ("en", "fr"):
            assert defined.title(language)
            assert "{" not in defined.definition(language)
        assert set(defined.note) in (set(), {"en", "fr"})


def test_every_fact_is_one_statement_that_yields_its_dimensions() -> None:
    folder = Path(fact_sql.__wrapped__.__code__.co_filename).parent / "sql"
    assert {path.stem for path in folder.glob("*.sql")} == {*DIMENSIONS, BEFORE}
    for fact, names in DIMENSIONS.items():
        (statement,) = sqlglot.parse(fact_sql(fact), dialect="duckdb")
        assert statement is not None
        yields = set(statement.named_selects) - {"*"}
        if "*" not in statement.named_selects:
            assert set(names) - {BEFORE} <= yields, fact


def test_what_is_not_there_is_refused_with_a_remedy(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(NotFoundError, match="no KPI"):
        value(con, "profit")
    with pytest.raises(SettingsError, match="not known by store; choose of"):
        breakdown(con, "win_rate", "store", OCTOBER)
    with pytest.raises(SettingsError, match="not known by"):
        kpi_values(con, ["orders"], OCTOBER, {'region" or 1=1 --': ["x"]})
    with pytest.raises(SettingsError, match="holds no day"):
        Period(date(2026, 1, 1), date(2026, 1, 1))


# Periods


def test_the_period_before_has_as_many_months_or_days() -> None:
    assert OCTOBER.previous() == SEPTEMBER
    quarter = Period(date(2026, 1, 1), date(2026, 4, 1))
    assert quarter.previous() == Period(date(2025, 10, 1), date(2026, 1, 1))
    week = last_days(7, AS_OF)
    assert week == Period(date(2026, 10, 25), date(2026, 11, 1))
    assert week.previous() == Period(date(2026, 10, 18), date(2026, 10, 25))
    leap = Period(date(2024, 2, 29), date(2024, 3, 1))
    assert leap.year_before() == Period(date(2023, 2, 28), date(2023, 3, 1))
    assert month_of(date(2026, 12, 31)) == Period(date(2026, 12, 1), date(2027, 1, 1))
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2026, 1, 31), -2) == date(2025, 11, 30)


def test_buckets_cover_a_period_without_gap_or_overlap() -> None:
    period = Period(date(2026, 1, 15), date(2026, 4, 2))
    for grain in ("day", "week", "month"):
        cut = buckets(period, grain)
        assert (cut[0].start, cut[-1].end) == (period.start, period.end)
        assert all(left.end == right.start for left, right in itertools.pairwise(cut))
    assert [bucket.start.day for bucket in buckets(period, "month")] == [15, 1, 1, 1]
    assert buckets(period, "week")[1].start.weekday() == 0


def test_a_fact_reads_no_column_but_those_it_says(published):
    """So it need not be written down again while these are as they were."""
    facts = facts_to_prepare(published)
    [(path,)] = published.sql("select path from duckdb_databases() where not internal").fetchall()
    assert {fact.table.removeprefix("facts_") for fact in facts} == {*PREPARED, *STOCKS, BEFORE}
    with duckdb.connect() as con:
        con.execute(f"attach '{path}' as held (read_only)")
        for fact in facts:
            con.execute(f"create schema {fact.table}; use {fact.table}")
            for table, columns in fact.columns.items():
                con.execute(f"create view {table} as select {', '.join(columns)} from held.{table}")
            assert con.execute(f"explain {fact.sql}", fact.values).fetchall()
