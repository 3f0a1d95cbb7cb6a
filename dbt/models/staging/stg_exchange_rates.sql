{{ config(materialized='table') }}

with records as (
    {{ latest_version('exchange_rates', ['currency_code', 'rate_date']) }}
),

ranked as (
    select
        records.*,
        row_number() over (
            partition by upper(records.currency_code), records.rate_date
            order by declared.trust asc nulls last, records._source asc
        ) as source_rank
    from records
    left join {{ ref('stg_sources') }} as declared on records._source = declared.source
)

select
    upper(currency_code) as currency_code,
    rate_date,
    rate
from ranked
where source_rank = 1
