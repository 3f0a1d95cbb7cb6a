from datetime import date
from decimal import Decimal

import polars as pl

from cohorte.kpis import Comparison, KpiValue
from dashboards import findings
from dashboards.language import Words

EN = Words("en", "EUR")


def figures(now: tuple[int, int], before: tuple[int, int]) -> dict[str, Comparison]:
    """Revenue and orders of a period and of the one before."""

    def value(kpi_id: str, amount: Decimal) -> KpiValue:
        return KpiValue(kpi_id, amount)

    def pair(kpi_id: str, this: Decimal, that: Decimal) -> Comparison:
        return Comparison(value(kpi_id, this), value(kpi_id, that))

    (revenue, orders), (revenue_before, orders_before) = now, before
    return {
        "net_revenue": pair("net_revenue", Decimal(revenue), Decimal(revenue_before)),
        "orders": pair("orders", Decimal(orders), Decimal(orders_before)),
        "average_order_value": pair(
            "average_order_value",
            Decimal(revenue) / orders,
            Decimal(revenue_before) / orders_before,
        ),
    }


def test_the_finding_names_the_factor_that_moved_revenue_most() -> None:
    more_orders = findings.main_finding(figures((2000, 20), (1000, 10)), "Now", True, EN)
    assert "rose by 100% to €2,000, mostly through more orders (+100%)" in more_orders
    poorer = findings.main_finding(figures((900, 10), (1000, 10)), "Now", True, EN)
    assert "fell by 10% to €900, mostly through a lower order value (−10%)" in poorer


def test_the_finding_says_when_there_is_nothing_to_compare_with() -> None:
    said = findings.main_finding(figures((900, 10), (1000, 10)), "Now", False, EN)
    assert "do not go back far enough" in said


def test_a_change_over_nothing_is_no_change() -> None:
    assert findings.change(5, 0) is None
    assert findings.change(None, 3) is None
    assert findings.change(Decimal(3), Decimal(2)) == 0.5


def monthly(*rows: tuple[date, int]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "month": [month for month, _ in rows],
            "net_revenue": [Decimal(amount) for _, amount in rows],
            "new_customers": [10] * len(rows),
            "returning_customers": [30] * len(rows),
        }
    )


def test_a_month_that_still_runs_is_partial_and_not_the_finding() -> None:
    frame = findings.monthly(
        monthly((date(2025, 9, 1), 100), (date(2026, 9, 1), 80), (date(2026, 10, 1), 5)),
        as_of=date(2026, 10, 3),
    )
    assert frame["is_partial"].to_list() == [False, False, True]
    assert frame["last_year"].to_list() == [None, 100.0, None]
    assert findings.revenue_finding(frame, EN) == (
        "September 2026 is 20% below the same month a year before"
    )
    assert findings.customers_finding(frame, EN) == (
        "75% of the buyers of September 2026 had bought before"
    )


def test_the_last_day_of_a_month_makes_it_whole() -> None:
    frame = findings.monthly(monthly((date(2026, 10, 1), 5)), as_of=date(2026, 10, 31))
    assert frame["is_partial"].to_list() == [False]
