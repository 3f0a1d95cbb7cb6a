{{ config(materialized='table') }}

with records as (
    {{ latest_version('products', ['product_id']) }}
),

closed as (
    {{ closed_records('products', ['product_id']) }}
)

select
    records._source as source,
    records.product_id,

    {{ clean_text('product_name') }} as product_name,
    {{ clean_text('category') }} as category,
    {{ clean_text('brand') }} as brand,

    unit_price,
    unit_cost,
    case when closed.closed_at is null then records.is_active else false end as is_active,
    records.updated_at
from records
left join closed
    on records._source = closed.source and records.product_id = closed.product_id
