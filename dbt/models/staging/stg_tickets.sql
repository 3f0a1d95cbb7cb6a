{{ config(materialized='table') }}

with records as (
    {{ latest_version('tickets', ['ticket_id']) }}
)

select
    _source as source,
    ticket_id,
    contact_id,
    order_id,
    product_id,

    lower({{ clean_text('channel') }}) as channel,
    lower({{ clean_text('category') }}) as category,
    lower({{ clean_text('priority') }}) as priority,
    coalesce(
        lower({{ clean_text('status') }}),
        case when resolved_at is null then 'open' else 'resolved' end
    ) as status,
    {{ clean_text('subject') }} as subject,

    reopened_count,
    opened_at,
    first_response_at,
    resolved_at
from records
