with records as (
    {{ latest_version('orders', ['order_id']) }}
)

select
    records._source as source,
    records.order_id,
    records.contact_id,
    records.account_id,
    records.campaign_id,

    coalesce(lower({{ clean_text('records.status') }}), 'completed') as status,
    lower({{ clean_text('records.channel') }}) as channel,
    {{ clean_text('records.store') }} as store,
    coalesce(
        upper({{ clean_text('records.currency_code') }}),
        declared.currency_code,
        '{{ var("currency") }}'
    ) as currency_code,

    records.gross_amount,
    records.discount_amount,
    records.tax_amount,
    records.shipping_amount,
    records.net_amount,

    {{ local_date('records.ordered_at') }} as order_date,
    records.ordered_at,
    records.delivered_at,
    records.cancelled_at
from records
left join {{ ref('stg_sources') }} as declared on records._source = declared.source
