{{ config(tags=['profile']) }}

-- What a KPI leaves out is said here once more: cancelled, after as_of, internal.
with internal as (
    select customer_id
    from {{ ref('customers') }}
    where is_internal
),

facts as (
    select 'net_revenue' as kpi_id, source, sum(reporting_net_amount) as value
    from {{ ref('orders') }}
    where
        status <> 'cancelled'
        and order_date <= {{ as_of() }}
        and (customer_id is null or customer_id not in (select customer_id from internal))
    group by source
    union all
    select 'leads_created' as kpi_id, source, count(*) as value
    from {{ ref('leads') }}
    where
        created_date <= {{ as_of() }}
        and (customer_id is null or customer_id not in (select customer_id from internal))
    group by source
),

published as (
    select kpi_id, source, sum(value) as value
    from {{ ref('kpi_daily') }}
    where kpi_id in ('net_revenue', 'leads_created')
    group by kpi_id, source
)

select facts.kpi_id, facts.source, facts.value, published.value as published_value
from facts
full outer join published on facts.kpi_id = published.kpi_id and facts.source = published.source
where coalesce(facts.value, 0) <> coalesce(published.value, 0)
