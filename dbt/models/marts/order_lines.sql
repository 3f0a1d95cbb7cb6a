{{ config(tags=['unify'], meta={'by_customer': 'source, order_id'}) }}

with lines as (
    select
        lines.*,
        orders.customer_id,
        orders.order_date,
        orders.status,
        orders.currency_code,
        rates.rate,
        coalesce(lines.product_name, products.product_name) as known_product_name,
        products.category,
        lines.net_amount
        - {{ multiplied('lines.quantity', 'coalesce(lines.unit_cost, products.unit_cost)') }}
            as own_margin_amount
    from {{ ref('stg_order_lines') }} as lines
    left join {{ ref('int_orders__identified') }} as orders
        on lines.source = orders.source and lines.order_id = orders.order_id
    left join {{ ref('stg_products') }} as products
        on lines.source = products.source and lines.product_id = products.product_id
    left join {{ ref('int_exchange_rates__daily') }} as rates
        on orders.currency_code = rates.currency_code and orders.order_date = rates.rate_date
)

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(order_id as {{ dbt.type_string() }}) as order_id,
    cast(line_number as {{ dbt.type_bigint() }}) as line_number,
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(product_id as {{ dbt.type_string() }}) as product_id,
    cast(known_product_name as {{ dbt.type_string() }}) as product_name,
    cast(category as {{ dbt.type_string() }}) as category,
    cast(order_date as date) as order_date,
    cast(status as {{ dbt.type_string() }}) as status,
    cast(quantity as {{ amount_type() }}) as quantity,
    cast(unit_price as {{ amount_type() }}) as unit_price,
    cast(coalesce(discount_amount, 0) as {{ amount_type() }}) as discount_amount,
    cast(coalesce(tax_amount, 0) as {{ amount_type() }}) as tax_amount,
    cast(coalesce(shipping_amount, 0) as {{ amount_type() }}) as shipping_amount,
    cast(net_amount as {{ amount_type() }}) as net_amount,
    cast(
        {{ in_reporting_currency('net_amount', 'currency_code', 'rate') }} as {{ amount_type() }}
    ) as reporting_net_amount,
    cast(
        {{ in_reporting_currency('own_margin_amount', 'currency_code', 'rate') }}
        as {{ amount_type() }}
    ) as margin_amount
from lines
-- Kept in the order of customers: one person's lines are read without reading the others'.
order by customer_id
