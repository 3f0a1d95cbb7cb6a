{{ config(tags=['stage']) }}

select
    source,
    order_id,
    cast(sum(net_amount) as {{ amount_type() }}) as net_amount,
    cast(sum(discount_amount) as {{ amount_type() }}) as discount_amount,
    cast(sum(tax_amount) as {{ amount_type() }}) as tax_amount,
    cast(sum(shipping_amount) as {{ amount_type() }}) as shipping_amount,
    cast(sum(quantity) as {{ amount_type() }}) as quantity,
    count(*) as lines_count
from {{ ref('stg_order_lines') }}
group by source, order_id
