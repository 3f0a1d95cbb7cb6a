"""Order histories as they were known on a day, and what came after, from ``marts.orders``.

A purchase day is a day with at least one order (not cancelled, net value above 0): several orders
of a day are one occasion. Net revenue counts returns and credit notes on the day they are dated.
Days are numbered from 1970-01-01.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = [
    "LAST_YEAR",
    "Window",
    "contents_of",
    "day_number",
    "prepare_purchase_days",
    "read_window",
]

FloatArray = npt.NDArray[np.float64]

EPOCH = date(1970, 1, 1)
LAST_YEAR = 365


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


@dataclass(frozen=True)
class Window:
    """Everyone who had ordered by the day ``cut``, and what they did in the horizon after.

    Customers are in order of ``customer_id``. Amounts are in the workspace's currency.
    """

    cut: int
    horizon: int
    first_day: int | None
    """The first purchase day of all; None without any."""
    customer_id: pl.Series
    orders: FloatArray
    """Purchase days until the cut."""
    first: FloatArray
    last: FloatArray
    revenue: FloatArray
    """Net revenue until the cut, 0 where returns outweigh it."""
    year_orders: FloatArray
    """Purchase days of the last 365."""
    year_revenue: FloatArray
    later_orders: FloatArray
    later_revenue: FloatArray

    def __len__(self) -> int:
        return len(self.orders)

    @property
    def histories(self) -> FloatArray:
        """Repeat orders, last order at, age: what an estimator of counts learns from, in days."""
        last = np.where(self.orders > 1, self.last - self.first, 0.0)
        return np.column_stack((self.orders - 1, last, self.cut - self.first))

    @property
    def values(self) -> FloatArray:
        """Orders and their mean value: what an estimator of values learns from."""
        return np.column_stack((self.orders, self.revenue / np.maximum(self.orders, 1)))

    @property
    def parts(self) -> dict[str, FloatArray]:
        """What a history is told by, in days from the cut, and the net revenue of a day with an
        order."""
        return {
            "order_days_count": self.orders,
            "days_since_last_order": self.cut - self.last,
            "days_since_first_order": self.cut - self.first,
            "mean_order_value": self.values[:, 1],
        }

    @property
    def repeat_buyers(self) -> int:
        return int((self.orders > 1).sum())

    @property
    def later_buyers(self) -> int:
        return int((self.later_orders > 0).sum())

    def days_known(self) -> int:
        """Days from the first purchase day of all to the cut; 0 without any."""
        return 0 if self.first_day is None else max(self.cut - self.first_day, 0)


def prepare_purchase_days(con: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """Write the temporary table ``purchase_days``: a row per customer and day with money moved."""
    con.execute(
        """
        create or replace temp table purchase_days as
        select
            customer_id,
            (order_date - date '1970-01-01')::integer as day,
            bool_or(is_order) as is_order,
            sum(coalesce(reporting_net_amount, 0))::double as revenue
        from marts.orders
        where customer_id is not null and status is distinct from 'cancelled' and order_date <= ?
        group by all
        """,
        [as_of],
    )


def contents_of(con: duckdb.DuckDBPyConnection, cut: int) -> dict[str, Any]:
    """How many purchase days there are until the day ``cut``, their revenue, and a hash of them,
    in whatever order they were loaded."""
    rows, revenue, mixed = con.execute(
        """
        select
            count(*),
            coalesce(sum(revenue::decimal(18, 2)), 0)::double,
            coalesce(bit_xor(hash(customer_id, day, is_order, revenue)), 0)
        from purchase_days where day <= ?
        """,
        [cut],
    ).fetchall()[0]
    return {"purchase_days": rows, "revenue": revenue, "data": f"{rows}-{int(mixed):016x}"}


def read_window(
    con: duckdb.DuckDBPyConnection, cut: int, horizon: int, since: int | None = None
) -> Window:
    """The histories until the day ``cut``, included, and what came in the ``horizon`` days after.

    Needs ``prepare_purchase_days``. Whoever had not ordered by the cut is left out. With ``since``,
    histories begin on that day, as if nothing had been known before.
    """
    found = con.sql(
        """
        select
            customer_id,
            count(*) filter (is_order and day <= $cut)::double as orders,
            min(day) filter (is_order and day <= $cut)::double as first,
            max(day) filter (is_order and day <= $cut)::double as last,
            greatest(coalesce(sum(revenue) filter (day <= $cut), 0), 0) as revenue,
            count(*) filter (is_order and day <= $cut and day > $cut - $year)::double
                as year_orders,
            coalesce(sum(revenue) filter (day <= $cut and day > $cut - $year), 0) as year_revenue,
            count(*) filter (is_order and day > $cut)::double as later_orders,
            coalesce(sum(revenue) filter (day > $cut), 0) as later_revenue
        from purchase_days
        where day <= $cut + $horizon and day >= coalesce($since, day)
        group by customer_id
        having count(*) filter (is_order and day <= $cut) > 0
        order by customer_id
        """,
        params={"cut": cut, "horizon": horizon, "year": LAST_YEAR, "since": since},
    ).to_arrow_table()
    frame = pl.DataFrame(pl.from_arrow(found))
    columns = [frame[name].to_numpy().astype(np.float64) for name in frame.columns[1:]]
    for money in (3, 5, 7):
        columns[money] = np.round(columns[money], 4)
    orders, first, last, revenue, year_orders, year_revenue, later_orders, later_revenue = columns
    return Window(
        cut,
        horizon,
        int(first.min()) if len(first) else None,
        frame["customer_id"],
        orders,
        first,
        last,
        revenue,
        year_orders,
        year_revenue,
        later_orders,
        later_revenue,
    )
