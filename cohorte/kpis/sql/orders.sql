-- One row per order or return that was not cancelled, and whether a complaint names it.
select
    orders.order_date as day,
    orders.source,
    orders.channel,
    orders.store,
    orders.campaign_id,
    profiles.country_code,
    profiles.region,
    profiles.party,
    profiles.rfm_segment,
    profiles.lifecycle_status,
    orders.order_id,
    orders.customer_id,
    orders.is_order,
    orders.is_first_order,
    orders.reporting_net_amount,
    orders.items_count,
    profiles.first_order_date,
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
where orders.status <> 'cancelled' and not coalesce(profiles.is_internal, false)
