-- One row per order of the period: whether a complaint names it.
select
    orders.order_date as day,
    orders.source,
    orders.channel,
    orders.store,
    profiles.country_code,
    profiles.region,
    profiles.rfm_segment,
    orders.order_id,
    orders.customer_id,
    complaints.order_id is not null as has_complaint
from orders
left join customer_profiles as profiles on orders.customer_id = profiles.customer_id
left join (
    select distinct
        tickets.order_id,
        tickets.customer_id
    from tickets
    where tickets.category = 'complaint' and tickets.order_id is not null
) as complaints
    on
        orders.order_id = complaints.order_id
        and orders.customer_id is not distinct from complaints.customer_id
where
    orders.is_order
    and orders.order_date >= $start
    and orders.order_date < $end
    and not coalesce(profiles.is_internal, false)
