with records as (
    {{ latest_version('interactions', ['interaction_id']) }}
)

select
    _source as source,
    interaction_id,
    contact_id,
    account_id,
    lead_id,
    opportunity_id,

    lower({{ clean_text('kind') }}) as kind,
    lower({{ clean_text('direction') }}) as direction,
    {{ clean_text('outcome') }} as outcome,
    {{ clean_text('owner') }} as owner,
    {{ clean_text('subject') }} as subject,

    duration_seconds,
    occurred_at
from records
