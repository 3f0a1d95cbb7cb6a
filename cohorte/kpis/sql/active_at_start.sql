-- One row per customer active on the eve of $start: ordered in the $lapse_days before it. Lapsed
-- when no order falls in the $lapse_days before $end.
with buyers as (
    select
        orders.customer_id,
        max(case when orders.order_date < $start then orders.order_date end) as last_before_start,
        max(case when orders.order_date < $end then orders.order_date end) as last_before_end
    from orders
    where
        orders.is_order
        and orders.customer_id is not null
        and orders.order_date >= $start - cast($lapse_days as integer)
        and orders.order_date < $end
    group by orders.customer_id
)

select
    profiles.country_code,
    profiles.region,
    profiles.party,
    buyers.customer_id,
    buyers.last_before_end < $end - cast($lapse_days as integer) as is_lapsed
from buyers
inner join customer_profiles as profiles on buyers.customer_id = profiles.customer_id
where buyers.last_before_start is not null and not coalesce(profiles.is_internal, false)
