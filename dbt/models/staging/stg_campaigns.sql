with records as (
    {{ latest_version('campaigns', ['campaign_id']) }}
)

select
    records._source as source,
    records.campaign_id,

    {{ clean_text('records.campaign_name') }} as campaign_name,
    lower({{ clean_text('records.channel') }}) as channel,
    {{ clean_text('records.objective') }} as objective,
    coalesce(
        upper({{ clean_text('records.currency_code') }}),
        declared.currency_code,
        '{{ var("currency") }}'
    ) as currency_code,

    records.budget_amount,
    records.cost_amount,
    records.started_at,
    records.ended_at
from records
left join {{ ref('stg_sources') }} as declared on records._source = declared.source
