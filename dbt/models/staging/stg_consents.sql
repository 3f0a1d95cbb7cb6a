with records as (
    {{ distinct_rows('consents') }}
)

select
    _source as source,
    contact_id,

    lower({{ clean_text('channel') }}) as channel,
    lower({{ clean_text('purpose') }}) as purpose,
    {{ clean_text('contact_point') }} as contact_point,
    {{ clean_text('proof') }} as proof,

    is_granted,
    recorded_at,
    _loaded_at as loaded_at
from records
