-- One row per day, source and additive KPI, as the run published them.
select
    kpi_daily.kpi_date as day,
    kpi_daily.kpi_id,
    kpi_daily.source,
    kpi_daily.value
from kpi_daily
