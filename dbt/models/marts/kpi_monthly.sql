{{ config(tags=['profile']) }}

with sales as (
    select
        orders.*,
        {{ month_of('orders.order_date') }} as month
    from {{ ref('orders') }} as orders
    left join {{ ref('int_customers__internal') }} as internal
        on orders.customer_id = internal.customer_id
    where
        orders.status <> 'cancelled'
        and orders.order_date <= {{ as_of() }}
        and internal.customer_id is null
),

totals as (
    select
        month,
        sum(reporting_net_amount) as net_revenue,
        sum(case when is_order then 1 else 0 end) as orders,
        sum(case when is_first_order then 1 else 0 end) as new_customers
    from sales
    group by month
),

buyers as (
    select month, count(*) as active_customers
    from (
        select distinct month, customer_id
        from sales
        where is_order and customer_id is not null
    ) as monthly_buyers
    group by month
)

select
    cast(totals.month as date) as month,
    cast(totals.net_revenue as {{ amount_type() }}) as net_revenue,
    cast(totals.orders as {{ dbt.type_bigint() }}) as orders,
    cast(coalesce(buyers.active_customers, 0) as {{ dbt.type_bigint() }}) as active_customers,
    cast(totals.new_customers as {{ dbt.type_bigint() }}) as new_customers,
    cast(coalesce(buyers.active_customers, 0) - totals.new_customers as {{ dbt.type_bigint() }})
        as returning_customers,
    {{ ratio('totals.net_revenue', 'totals.orders') }} as average_order_value
from totals
left join buyers on totals.month = buyers.month
