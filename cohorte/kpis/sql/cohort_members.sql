-- One row per customer whose first order falls in the period just before, as long as this one:
-- whether they ordered in this one.
with members as (
    select
        orders.source,
        orders.channel,
        orders.store,
        profiles.country_code,
        profiles.region,
        profiles.party,
        orders.customer_id
    from orders
    left join customer_profiles as profiles on orders.customer_id = profiles.customer_id
    where
        orders.is_first_order
        and orders.order_date >= $previous_start
        and orders.order_date < $start
        and not coalesce(profiles.is_internal, false)
),

active as (
    select orders.customer_id
    from orders
    where
        orders.is_order
        and orders.order_date >= $start
        and orders.order_date < $end
    group by orders.customer_id
)

select
    members.*,
    active.customer_id is not null as has_ordered
from members
left join active on members.customer_id = active.customer_id
