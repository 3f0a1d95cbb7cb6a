with records as (
    {{ distinct_rows('email_events') }}
)

select
    _source as source,
    {{ content_id() }} as record_id,
    coalesce(contact_id, email) as contact_id,
    campaign_id,
    message_id,

    'email_' || lower(kind) as kind,
    lower(email) as email,
    url,

    occurred_at
from records
