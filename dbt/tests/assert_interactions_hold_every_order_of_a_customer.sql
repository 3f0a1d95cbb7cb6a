{{ config(tags=['unify']) }}

with expected as (
    select count(*) as orders_count, coalesce(sum(reporting_net_amount), 0) as amount
    from {{ ref('orders') }}
    where customer_id is not null and status <> 'cancelled'
),

found as (
    select count(*) as orders_count, coalesce(sum(amount), 0) as amount
    from {{ ref('int_interactions__events') }}
    where kind in ('order', 'return')
)

select expected.orders_count, found.orders_count as found_count
from expected
inner join found
    on expected.orders_count <> found.orders_count or expected.amount <> found.amount
