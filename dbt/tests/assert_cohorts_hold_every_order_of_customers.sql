{{ config(tags=['profile']) }}

with counted as (
    select sum(orders.reporting_net_amount) as net_revenue
    from {{ ref('orders') }} as orders
    left join {{ ref('int_customers__internal') }} as internal
        on orders.customer_id = internal.customer_id
    inner join (select distinct customer_id from {{ ref('int_orders__days') }}) as buyers
        on orders.customer_id = buyers.customer_id
    inner join {{ ref('customer_features') }} as features
        on orders.customer_id = features.customer_id
    where
        orders.status <> 'cancelled'
        and orders.order_date <= {{ as_of() }}
        and orders.order_date >= {{ month_of('features.first_order_date') }}
        and internal.customer_id is null
)

select counted.net_revenue
from counted
where counted.net_revenue <> (select sum(net_revenue) from {{ ref('cohort_months') }})
