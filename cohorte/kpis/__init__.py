"""KPIs: what each is, and its figures over a published version."""

from cohorte.kpis.definitions import Kpi, Windows, catalogue, dimensions, kpi
from cohorte.kpis.figures import (
    Comparison,
    Filters,
    Grain,
    KpiValue,
    Period,
    add_months,
    breakdown,
    buckets,
    compare,
    kpi_values,
    last_days,
    month_of,
    series,
)

__all__ = [
    "Comparison",
    "Filters",
    "Grain",
    "Kpi",
    "KpiValue",
    "Period",
    "Windows",
    "add_months",
    "breakdown",
    "buckets",
    "catalogue",
    "compare",
    "dimensions",
    "kpi",
    "kpi_values",
    "last_days",
    "month_of",
    "series",
]
