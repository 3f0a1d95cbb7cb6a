-- One row per cart that had $cart_hours to become an order, dated by its beginning.
select
    cast(timezone($time_zone, timezone('UTC', carts.created_at)) as date) as day,
    carts.source,
    profiles.country_code,
    profiles.region,
    profiles.rfm_segment,
    carts.cart_id,
    carts.customer_id,
    carts.amount,
    carts.is_abandoned
from carts
left join customer_profiles as profiles on carts.customer_id = profiles.customer_id
where
    date_diff('hour', carts.created_at, $known_at) >= cast($cart_hours as integer)
    and not coalesce(profiles.is_internal, false)
