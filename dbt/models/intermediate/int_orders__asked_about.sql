{{ config(tags=['unify'], materialized='view') }}

-- Where it was ordered, and the product that most was paid for.
select
    placed.order_id,
    placed.customer_id,
    orders.channel,
    placed.product_name,
    placed.product_category
from (
    select
        source,
        order_id,
        customer_id,
        product_name,
        category as product_category,
        row_number() over (
            partition by order_id, customer_id
            order by reporting_net_amount desc, source asc, line_number asc
        ) as place
    from {{ ref('order_lines') }}
    where
        order_id in (
            select order_id from {{ ref('stg_tickets') }}
            union
            select order_id from {{ ref('stg_surveys') }}
        )
) as placed
inner join {{ ref('orders') }} as orders
    on placed.source = orders.source and placed.order_id = orders.order_id
where placed.place = 1
