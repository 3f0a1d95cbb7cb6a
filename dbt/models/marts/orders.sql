{{ config(tags=['unify'], meta={'by_customer': 'source, order_id'}) }}

with line_totals as (
    select
        source,
        order_id,
        sum(net_amount) as net_amount,
        sum(discount_amount) as discount_amount,
        sum(tax_amount) as tax_amount,
        sum(shipping_amount) as shipping_amount,
        sum(quantity) as quantity,
        count(*) as lines_count
    from {{ ref('order_lines') }}
    group by source, order_id
),

paid as (
    select source, order_id, sum(amount) as paid_amount
    from {{ ref('payments') }}
    group by source, order_id
),

valued as (
    select
        orders.*,
        rates.rate,
        coalesce(
            orders.net_amount,
            lines.net_amount,
            orders.gross_amount
            - coalesce(orders.tax_amount, 0)
            - coalesce(orders.shipping_amount, 0),
            0
        ) as known_net_amount,
        coalesce(orders.discount_amount, lines.discount_amount, 0) as known_discount_amount,
        coalesce(orders.tax_amount, lines.tax_amount, 0) as known_tax_amount,
        coalesce(orders.shipping_amount, lines.shipping_amount, 0) as known_shipping_amount,
        coalesce(paid.paid_amount, 0) as paid_amount,
        lines.net_amount as lines_net_amount,
        coalesce(lines.lines_count, 0) as lines_count,
        coalesce(lines.quantity, 0) as quantity
    from {{ ref('int_orders__identified') }} as orders
    left join line_totals as lines
        on orders.source = lines.source and orders.order_id = lines.order_id
    left join paid on orders.source = paid.source and orders.order_id = paid.order_id
    left join {{ ref('int_exchange_rates__daily') }} as rates
        on orders.currency_code = rates.currency_code and orders.order_date = rates.rate_date
),

first_orders as (
    select source, order_id
    from (
        select
            source,
            order_id,
            row_number() over (
                partition by customer_id order by ordered_at, source, order_id
            ) as order_number
        from valued
        where customer_id is not null and status <> 'cancelled' and known_net_amount > 0
    ) as numbered
    where order_number = 1
)

select
    cast(valued.source as {{ dbt.type_string() }}) as source,
    cast(valued.order_id as {{ dbt.type_string() }}) as order_id,
    cast(valued.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(valued.account_id as {{ dbt.type_string() }}) as account_id,
    cast(valued.ordered_at as {{ dbt.type_timestamp() }}) as ordered_at,
    cast(valued.order_date as date) as order_date,
    cast(valued.status as {{ dbt.type_string() }}) as status,
    cast(valued.channel as {{ dbt.type_string() }}) as channel,
    cast(valued.store as {{ dbt.type_string() }}) as store,
    cast(valued.campaign_id as {{ dbt.type_string() }}) as campaign_id,
    cast(valued.currency_code as {{ dbt.type_string() }}) as currency_code,
    cast(
        coalesce(
            valued.gross_amount,
            valued.known_net_amount + valued.known_tax_amount + valued.known_shipping_amount
        ) as {{ amount_type() }}
    ) as gross_amount,
    cast(valued.known_discount_amount as {{ amount_type() }}) as discount_amount,
    cast(valued.known_tax_amount as {{ amount_type() }}) as tax_amount,
    cast(valued.known_shipping_amount as {{ amount_type() }}) as shipping_amount,
    cast(valued.known_net_amount as {{ amount_type() }}) as net_amount,
    cast(
        {{ in_reporting_currency(
            'valued.known_net_amount', 'valued.currency_code', 'valued.rate'
        ) }} as {{ amount_type() }}
    ) as reporting_net_amount,
    cast(valued.paid_amount as {{ amount_type() }}) as paid_amount,
    cast(valued.lines_net_amount as {{ amount_type() }}) as lines_net_amount,
    cast(valued.lines_count as {{ dbt.type_bigint() }}) as lines_count,
    cast(round(valued.quantity) as {{ dbt.type_bigint() }}) as items_count,
    valued.status <> 'cancelled' and valued.known_net_amount > 0 as is_order,
    first_orders.order_id is not null as is_first_order,
    cast(valued.delivered_at as {{ dbt.type_timestamp() }}) as delivered_at
from valued
left join first_orders
    on valued.source = first_orders.source and valued.order_id = first_orders.order_id
-- Kept in the order of customers: one person's orders are read without reading the others'.
order by valued.customer_id
