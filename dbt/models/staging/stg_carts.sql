with records as (
    {{ latest_version('carts', ['cart_id']) }}
)

select
    records._source as source,
    records.cart_id,
    records.contact_id,
    records.visitor_id,
    records.order_id,

    coalesce(
        upper({{ clean_text('records.currency_code') }}),
        declared.currency_code,
        '{{ var("currency") }}'
    ) as currency_code,

    records.amount,
    records.items_count,
    records.created_at,
    records.updated_at
from records
left join {{ ref('stg_sources') }} as declared on records._source = declared.source
