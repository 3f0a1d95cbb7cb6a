-- One row per buyer, dated by the first order: after how many days the second one followed, as far
-- as as_of knows.
with numbered as (
    select
        orders.customer_id,
        orders.order_date,
        row_number() over (
            partition by orders.customer_id order by orders.order_date
        ) as order_number
    from orders
    where orders.is_order and orders.customer_id is not null and orders.order_date <= $as_of
)

select
    orders.order_date as day,
    orders.source,
    orders.channel,
    orders.store,
    profiles.country_code,
    profiles.region,
    profiles.party,
    orders.customer_id,
    numbered.order_date - orders.order_date as days_to_second_order
from orders
left join customer_profiles as profiles on orders.customer_id = profiles.customer_id
left join numbered
    on orders.customer_id = numbered.customer_id and numbered.order_number = 2
where orders.is_first_order and not coalesce(profiles.is_internal, false)
