with records as (
    {{ latest_version('contracts', ['contract_id']) }}
),

closed as (
    {{ closed_records('contracts', ['contract_id']) }}
)

select
    records._source as source,
    records.contract_id,
    records.contact_id,
    records.account_id,

    {{ clean_text('records.contract_name') }} as contract_name,
    case
        when closed.closed_at is null then lower({{ clean_text('records.status') }}) else 'ended'
    end as status,
    coalesce(
        upper({{ clean_text('records.currency_code') }}),
        declared.currency_code,
        '{{ var("currency") }}'
    ) as currency_code,

    records.amount,
    records.started_date,
    coalesce(records.end_date, {{ local_date('closed.closed_at') }}) as end_date,
    records.renewed_at,
    records.cancelled_at
from records
left join {{ ref('stg_sources') }} as declared on records._source = declared.source
left join closed
    on records._source = closed.source and records.contract_id = closed.contract_id
