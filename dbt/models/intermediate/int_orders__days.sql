{{ config(tags=['profile'], materialized='table') }}

-- One row per customer and day with an order, with the days of the orders before and after it.
with days as (
    select
        orders.customer_id,
        orders.order_date
    from {{ ref('orders') }} as orders
    left join {{ ref('int_customers__internal') }} as internal
        on orders.customer_id = internal.customer_id
    where
        orders.is_order
        and orders.customer_id is not null
        and orders.order_date <= {{ as_of() }}
        and internal.customer_id is null
    group by orders.customer_id, orders.order_date
)

select
    customer_id,
    order_date,
    min(order_date) over (partition by customer_id) as first_date,
    lag(order_date) over (partition by customer_id order by order_date) as previous_date,
    lead(order_date) over (partition by customer_id order by order_date) as next_date
from days
