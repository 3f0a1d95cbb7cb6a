from datetime import date

from cohorte.kpis import Period
from dashboards import periods


def test_periods_end_with_the_as_of_day() -> None:
    assert periods.period("30d", date(2026, 10, 31)) == Period(date(2026, 10, 2), date(2026, 11, 1))
    assert periods.period("12m", date(2026, 10, 31)) == Period(date(2025, 11, 1), date(2026, 11, 1))


def test_daily_values_are_summed_in_whole_steps_counted_from_the_end() -> None:
    days = [float(i) for i in range(16)]
    assert periods.in_steps(days, "90d") == [sum(range(2, 9)), sum(range(9, 16))]
    assert periods.in_steps(days, "30d") == days
    assert periods.in_steps(days, "12m") == []


def test_a_ratio_over_nothing_draws_as_nothing() -> None:
    assert periods.ratio([4, 2], [2, 0]) == [2, 0]
