-- One row per order or return that was not cancelled and category of its lines. What the lines leave
-- of the order is rounding, and stands with the largest, or is a row of its own without a category.
with bought as (
    select
        order_lines.source,
        order_lines.order_id,
        order_lines.category,
        sum(order_lines.reporting_net_amount) as amount,
        sum(order_lines.quantity) as items
    from order_lines
    group by order_lines.source, order_lines.order_id, order_lines.category
),

placed as (
    select
        bought.*,
        row_number() over (
            partition by bought.source, bought.order_id
            order by abs(bought.amount) desc, bought.category
        ) as place
    from bought
),

whole as (
    select
        orders.*,
        orders.reporting_net_amount - coalesce(lines.amount, 0) as rest_amount,
        orders.items_count - coalesce(lines.items, 0) as rest_items
    from orders
    left join (
        select
            bought.source,
            bought.order_id,
            sum(bought.amount) as amount,
            sum(bought.items) as items
        from bought
        group by bought.source, bought.order_id
    ) as lines on orders.source = lines.source and orders.order_id = lines.order_id
    where orders.status <> 'cancelled'
),

parts as (
    select
        whole.source,
        whole.order_id,
        placed.category as product_category,
        placed.amount
        + case
            when placed.place = 1 and abs(whole.rest_amount) < 0.01 then whole.rest_amount else 0
        end as amount,
        placed.items
    from whole
    inner join placed on whole.source = placed.source and whole.order_id = placed.order_id
    union all
    select
        whole.source,
        whole.order_id,
        cast(null as varchar) as product_category,
        case when abs(whole.rest_amount) < 0.01 then 0 else whole.rest_amount end as amount,
        whole.rest_items as items
    from whole
    where abs(whole.rest_amount) >= 0.01 or whole.rest_items <> 0
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
    parts.amount as reporting_net_amount,
    parts.items as items_count,
    profiles.first_order_date
from parts
inner join orders on parts.source = orders.source and parts.order_id = orders.order_id
left join customer_profiles as profiles on orders.customer_id = profiles.customer_id
where not coalesce(profiles.is_internal, false)
