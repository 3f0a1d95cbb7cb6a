-- One row per cart, dated by its beginning, with the hours it has had to become an order.
select
    cast(timezone($time_zone, timezone('UTC', carts.created_at)) as date) as day,
    carts.source,
    profiles.country_code,
    profiles.region,
    profiles.rfm_segment,
    carts.cart_id,
    carts.customer_id,
    carts.amount,
    carts.is_abandoned,
    date_diff('hour', carts.created_at, $known_at) as hours_observed
from carts
left join customer_profiles as profiles on carts.customer_id = profiles.customer_id
where not coalesce(profiles.is_internal, false)
