"""The CDNOW sample of the literature: histories of 39 weeks, and the 39 weeks after."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

START = date(1997, 1, 1)
CALIBRATION_DAYS = 272
"""39 weeks: until 30 September 1997."""


def histories(data: Path) -> np.ndarray:
    """Repeat orders, last order at, age, in weeks, as published (2,357 customers)."""
    return np.loadtxt(data / "cdnow/cdnow_customers_summary.csv", delimiter=",", skiprows=1)[:, 1:]


def sales(data: Path) -> pl.DataFrame:
    """One row per customer and day: ``customer``, ``day`` (0 is 1 January 1997), ``amount``."""
    rows = [line.split() for line in (data / "cdnow/CDNOW_sample.txt").read_text().splitlines()]
    return (
        pl.DataFrame(
            {
                "customer": [row[1] for row in rows if row],
                "day": [row[2] for row in rows if row],
                "amount": [float(row[4]) for row in rows if row],
            }
        )
        .with_columns((pl.col("day").str.to_date("%Y%m%d") - START).dt.total_days())
        .group_by("customer", "day")
        .agg(pl.col("amount").sum())
        .sort("customer", "day")
    )


def later_orders(data: Path) -> np.ndarray:
    """Days with an order in weeks 40 to 78, by customer."""
    later = pl.col("day") > CALIBRATION_DAYS
    counted = sales(data).group_by("customer").agg(later.sum().alias("orders")).sort("customer")
    return counted["orders"].to_numpy().astype(float)


def repeat_values(data: Path) -> np.ndarray:
    """Repeat orders and their mean value in the first 39 weeks, of those who have any."""
    known = sales(data).filter(pl.col("day") <= CALIBRATION_DAYS)
    repeats = known.filter(pl.col("day") > pl.col("day").min().over("customer"))
    summed = (
        repeats.group_by("customer").agg(pl.len().alias("orders"), pl.col("amount").mean())
    ).sort("customer")
    return summed.filter(pl.col("amount") > 0).select("orders", "amount").to_numpy().astype(float)
