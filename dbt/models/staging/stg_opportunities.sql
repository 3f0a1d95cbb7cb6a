{{ config(materialized='table') }}

with records as (
    {{ latest_version('opportunities', ['opportunity_id']) }}
)

select
    records._source as source,
    records.opportunity_id,
    records.lead_id,
    records.contact_id,
    records.account_id,

    {{ clean_text('records.opportunity_name') }} as opportunity_name,
    {{ clean_text('records.owner') }} as owner,
    {{ clean_text('records.team') }} as team,
    {{ clean_text('records.stage') }} as stage,
    {{ clean_text('records.lost_reason') }} as lost_reason,
    coalesce(
        upper({{ clean_text('records.currency_code') }}),
        declared.currency_code,
        '{{ var("currency") }}'
    ) as currency_code,

    records.amount,
    records.is_won,
    records.created_at,
    records.closed_at,
    records.expected_close_date
from records
left join {{ ref('stg_sources') }} as declared on records._source = declared.source
