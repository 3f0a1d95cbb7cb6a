{{ config(materialized='table') }}

with records as (
    {{ latest_version('surveys', ['survey_id']) }}
)

select
    _source as source,
    survey_id,
    contact_id,
    order_id,
    ticket_id,

    lower({{ clean_text('kind') }}) as kind,
    {{ clean_text('comment') }} as comment,

    score,
    sent_at,
    answered_at
from records
