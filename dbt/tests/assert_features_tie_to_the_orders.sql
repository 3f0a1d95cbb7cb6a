{{ config(tags=['features']) }}

with expected as (
    select
        coalesce(sum(reporting_net_amount), 0) as net_revenue,
        coalesce(sum(case when is_order then 1 else 0 end), 0) as orders_count
    from {{ ref('orders') }}
    where customer_id is not null and status <> 'cancelled' and order_date <= {{ as_of() }}
),

found as (
    select
        coalesce(sum(lifetime_net_revenue), 0) as net_revenue,
        coalesce(sum(lifetime_orders_count), 0) as orders_count
    from {{ ref('customer_features') }}
)

select expected.net_revenue, found.net_revenue as found_net_revenue
from expected
inner join found
    on
        expected.net_revenue <> found.net_revenue
        or expected.orders_count <> found.orders_count
