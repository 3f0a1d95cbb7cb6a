{{ config(materialized='table') }}

with records as (
    {{ latest_version('products', ['product_id']) }}
)

select
    _source as source,
    product_id,

    {{ clean_text('product_name') }} as product_name,
    {{ clean_text('category') }} as category,
    {{ clean_text('brand') }} as brand,

    unit_price,
    unit_cost,
    is_active,
    updated_at
from records
