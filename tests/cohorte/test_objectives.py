"""Objectives by hand: what is due, what to expect, where they stand, and their files."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from cohorte.errors import SettingsError
from cohorte.kpis import Period
from cohorte.kpis.objectives import (
    filters_of,
    part_of_target,
    progress,
    read_goals,
    scope_of,
)

YEAR = Period(date(2026, 1, 1), date(2027, 1, 1))
JUNE = date(2026, 6, 30)


def known(**by_period: str) -> object:
    """Figures by the first and the last month of the period."""

    def figure(period: Period) -> Decimal | None:
        found = by_period.get(f"y{period.start:%y%m}_{period.end:%y%m}")
        return None if found is None else Decimal(found)

    return figure


def test_a_total_is_expected_to_grow_as_it_did_the_year_before() -> None:
    """A quarter of last year's revenue came by June: 300 by June is 1,200 by December."""
    figure = known(y2601_2607="300", y2501_2601="1000", y2501_2507="250")
    found = progress("net_revenue", Decimal(1000), YEAR, JUNE, figure)  # type: ignore[arg-type]
    assert (found.value, found.due, found.expected) == (300, 250, 1200)
    assert (found.attainment, found.pace) == (Decimal("0.3"), Decimal("1.2"))
    assert found.standing == "on_track"


def test_without_a_year_before_it_grows_evenly() -> None:
    found = progress("orders", Decimal(1000), YEAR, JUNE, known(y2601_2607="181"))  # type: ignore[arg-type]
    assert found.expected == Decimal(181) / (Decimal(181) / 365)
    assert found.standing == "behind"


def test_a_ratio_is_taken_as_it_is() -> None:
    found = progress("win_rate", Decimal("0.4"), YEAR, JUNE, known(y2601_2607="0.395"))  # type: ignore[arg-type]
    assert (found.due, found.expected, found.standing) == (
        Decimal("0.4"),
        Decimal("0.395"),
        "on_track",
    )


def test_a_month_has_its_part_of_an_objective() -> None:
    """Half as much in March a year before as in a mean month: half a mean month's part."""
    march = Period(date(2026, 3, 1), date(2026, 4, 1))
    asked = ("net_revenue", Decimal(1200), YEAR, march)
    grown = known(y2501_2601="2400", y2503_2504="100")
    assert part_of_target(*asked, grown) == 50  # type: ignore[arg-type]
    assert part_of_target(*asked, known()) == Decimal(1200) * (Decimal(31) / 365)  # type: ignore[arg-type]
    ratio = ("win_rate", Decimal("0.4"))
    assert part_of_target(*ratio, YEAR, march, known()) is None  # type: ignore[arg-type]
    assert part_of_target(*ratio, march, march, known()) == Decimal("0.4")  # type: ignore[arg-type]


def test_less_is_better_where_it_is() -> None:
    figure = known(y2601_2607="0.05")
    assert progress("churn_rate", Decimal("0.1"), YEAR, JUNE, figure).standing == "on_track"  # type: ignore[arg-type]
    assert progress("churn_rate", Decimal("0.01"), YEAR, JUNE, figure).standing == "behind"  # type: ignore[arg-type]
    half = Period(date(2026, 1, 1), date(2026, 7, 1))
    assert progress("churn_rate", Decimal("0.1"), half, JUNE, figure).standing == "reached"  # type: ignore[arg-type]


def test_what_has_not_begun_or_is_not_known_is_said_so() -> None:
    later = Period(date(2027, 1, 1), date(2028, 1, 1))
    assert progress("orders", Decimal(1), later, JUNE, known()).standing == "ahead_of_us"  # type: ignore[arg-type]
    assert progress("orders", Decimal(1), YEAR, JUNE, known()).standing == "unknown"  # type: ignore[arg-type]


def test_a_scope_is_a_dimension_of_the_kpi() -> None:
    assert scope_of("team", "Nord") == "team:Nord"
    assert filters_of("win_rate", "team:Nord: est") == {"team": ("Nord: est",)}
    assert filters_of("win_rate", "") == {}
    with pytest.raises(SettingsError, match="has no scope"):
        filters_of("win_rate", "region:Bretagne")


def test_objectives_are_read_from_a_file() -> None:
    written = (
        "\ufeffkpi_id;start_date;last_date;scope;target_value\n"
        "net_revenue;2026-01-01;2026-12-31;;1 250 000,50\n"
        "win_rate;2026-01-01;2026-03-31;team:Nord;0,4\n"
    )
    revenue, wins = read_goals(written.encode())
    assert (revenue.period, revenue.scope, revenue.value) == (YEAR, "", Decimal("1250000.50"))
    assert (wins.kpi_id, wins.scope) == ("win_rate", "team:Nord")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("profit,2026-01-01,2026-12-31,,1", "no KPI"),
        ("orders,01/01/2026,2026-12-31,,1", "does not read"),
        ("orders,2026-01-01,2025-12-31,,1", "holds no day"),
        ("orders,2026-01-01,2026-12-31,,many", "does not read"),
        ("orders,2026-01-01,2026-12-31,,NaN", "does not read"),
        ("orders,2026-01-01,2026-12-31,team:Nord,1", "has no scope"),
    ],
)
def test_a_line_that_is_wrong_is_named_and_nothing_is_read(line: str, says: str) -> None:
    with pytest.raises(SettingsError, match=f"line 2: .*{says}"):
        read_goals(f"kpi_id,start_date,last_date,scope,target_value\n{line}\n".encode())
