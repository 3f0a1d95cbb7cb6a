{{ config(tags=['profile']) }}

with firsts as (
    select customer_id, min(order_date) as first_date
    from {{ ref('int_orders__days') }}
    group by customer_id
),

bought as (
    select
        {{ month_of('firsts.first_date') }} as cohort_month,
        {{ month_of('orders.order_date') }} as month,
        orders.customer_id,
        sum(case when orders.is_order then 1 else 0 end) as orders_count,
        sum(orders.reporting_net_amount) as net_revenue
    from {{ ref('orders') }} as orders
    inner join firsts on orders.customer_id = firsts.customer_id
    where orders.status <> 'cancelled' and orders.order_date <= {{ as_of() }}
    group by
        {{ month_of('firsts.first_date') }},
        {{ month_of('orders.order_date') }},
        orders.customer_id
)

select
    cast(cohort_month as date) as cohort_month,
    cast(month as date) as month,
    cast(sum(case when orders_count > 0 then 1 else 0 end) as {{ dbt.type_bigint() }})
        as customers_count,
    cast(sum(orders_count) as {{ dbt.type_bigint() }}) as orders_count,
    cast(sum(net_revenue) as {{ amount_type() }}) as net_revenue
from bought
where month >= cohort_month
group by cohort_month, month
