{{ config(tags=['profile']) }}

with daily as (
    select
        {{ month_of('kpi_date') }} as month,
        sum(case when kpi_id = 'net_revenue' then value else 0 end) as net_revenue,
        sum(case when kpi_id = 'orders' then value else 0 end) as orders,
        sum(case when kpi_id = 'new_customers' then value else 0 end) as new_customers
    from {{ ref('kpi_daily') }}
    where kpi_id in ('net_revenue', 'orders', 'new_customers')
    group by 1
)

select monthly.month, daily.month as daily_month
from {{ ref('kpi_monthly') }} as monthly
full outer join daily on monthly.month = daily.month
where
    coalesce(monthly.net_revenue, 0) <> coalesce(daily.net_revenue, 0)
    or coalesce(monthly.orders, 0) <> coalesce(daily.orders, 0)
    or coalesce(monthly.new_customers, 0) <> coalesce(daily.new_customers, 0)
