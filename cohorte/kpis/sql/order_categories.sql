-- One row per line of an order or return that was not cancelled, and one without a category for
-- what the lines leave of an order: orders without lines, and rounding of other currencies.
with unsettled as (
    select
        orders.source,
        orders.order_id,
        orders.reporting_net_amount,
        orders.items_count
    from orders
    where
        orders.lines_net_amount is distinct from orders.net_amount
        or orders.reporting_net_amount is distinct from orders.net_amount
),

parts as (
    select
        order_lines.source,
        order_lines.order_id,
        order_lines.category as product_category,
        order_lines.reporting_net_amount,
        order_lines.quantity as items_count
    from order_lines
    union all
    select
        unsettled.source,
        unsettled.order_id,
        cast(null as varchar) as product_category,
        unsettled.reporting_net_amount - coalesce(lines.amount, 0) as reporting_net_amount,
        unsettled.items_count - coalesce(lines.items, 0) as items_count
    from unsettled
    left join (
        select
            order_lines.source,
            order_lines.order_id,
            sum(order_lines.reporting_net_amount) as amount,
            sum(order_lines.quantity) as items
        from order_lines
        inner join unsettled
            on
                order_lines.source = unsettled.source
                and order_lines.order_id = unsettled.order_id
        group by order_lines.source, order_lines.order_id
    ) as lines on unsettled.source = lines.source and unsettled.order_id = lines.order_id
    where
        unsettled.reporting_net_amount <> coalesce(lines.amount, 0)
        or unsettled.items_count <> coalesce(lines.items, 0)
)

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
    parts.product_category,
    orders.order_id,
    orders.customer_id,
    parts.reporting_net_amount,
    parts.items_count,
    profiles.first_order_date
from parts
inner join orders on parts.source = orders.source and parts.order_id = orders.order_id
left join customer_profiles as profiles on orders.customer_id = profiles.customer_id
where orders.status <> 'cancelled' and not coalesce(profiles.is_internal, false)
