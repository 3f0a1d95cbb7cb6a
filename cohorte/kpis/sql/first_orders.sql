-- One row per buyer, dated by the first order: whether they ordered again within $repeat_days, and
-- whether they have been observed for that long.
with buyers as (
    select
        orders.order_date as day,
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
        and orders.order_date >= $start
        and orders.order_date < $end
        and not coalesce(profiles.is_internal, false)
),

ordered_again as (
    select buyers.customer_id
    from buyers
    inner join orders on buyers.customer_id = orders.customer_id
    where
        orders.is_order
        and orders.order_date <= buyers.day + cast($repeat_days as integer)
        and orders.order_date <= $as_of
    group by buyers.customer_id
    having count(*) >= 2
)

select
    buyers.*,
    ordered_again.customer_id is not null as has_ordered_again,
    buyers.day + cast($repeat_days as integer) <= $as_of as is_observed
from buyers
left join ordered_again on buyers.customer_id = ordered_again.customer_id
