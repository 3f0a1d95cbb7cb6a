{{ config(tags=['unify'], meta={'by_customer': 'source, order_id'}) }}

-- Orders with their buyer; lines, payments and the orders' own amounts build on it.
select
    orders.source,
    orders.order_id,
    identity_map.customer_id,
    orders.account_id,
    orders.campaign_id,
    orders.status,
    orders.channel,
    orders.store,
    orders.currency_code,
    orders.gross_amount,
    orders.discount_amount,
    orders.tax_amount,
    orders.shipping_amount,
    orders.net_amount,
    orders.order_date,
    orders.ordered_at,
    orders.delivered_at
from {{ ref('stg_orders') }} as orders
left join {{ source('identity', 'identity_map') }} as identity_map
    on orders.source = identity_map.source and orders.contact_id = identity_map.contact_id
