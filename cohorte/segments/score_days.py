"""Scores of past days beside today's, so that rules can ask what moved.

Runs keep the scores of every customer and day (`pipelines.history`); a version carries those of
some days: the run before, and the newest that are a week, a month, ... old.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

SCORE_DAYS = "score_days"

TRACKED: dict[str, str] = {
    "lifecycle_status": "varchar",
    "rfm_segment": "varchar",
    "recency_score": "bigint",
    "frequency_score": "bigint",
    "monetary_score": "bigint",
    "lifetime_net_revenue": "decimal(18, 4)",
    "lead_conversion_probability": "double",
    "expected_orders": "double",
    "order_probability": "double",
    "lapse_probability": "double",
    "expected_value": "decimal(18, 4)",
    "value_band": "bigint",
}
"""What is kept of each customer and day; `value_band` is the tenth by expected spend."""

AGES = (1, 2, 3, 4, 5, 6, 7, 14, 21, 28, 60, 90, 180, 365, 730)


def days_carried(kept: Collection[date], as_of: date) -> list[date]:
    """Of the days kept, those that a version carries: for each age the newest of that age."""
    found = set()
    for age in AGES:
        old_enough = [day for day in kept if day <= as_of - timedelta(days=age)]
        if old_enough:
            found.add(max(old_enough))
    return sorted(found)


def scores_today(relation: str) -> str:
    """The SELECT of today's scores from the profiles, for `$as_of`: a row of `score_days` each."""
    band = (
        "case when expected_value is not null then ntile(10) over ("
        "partition by expected_value is null order by expected_value, customer_id) end"
    )
    columns = [
        f"cast({band if name == 'value_band' else name} as {kind}) as {name}"
        for name, kind in TRACKED.items()
    ]
    return (
        f"select customer_number, cast($as_of as date) as as_of, {', '.join(columns)}"
        f" from {relation}"
    )
