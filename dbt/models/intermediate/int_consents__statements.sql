{{ config(tags=['unify'], materialized='view') }}

-- Every statement about a contact point: consents and refusals as sources give them, and the
-- unsubscriptions and complaints of e-mail platforms, which withdraw consent.
with withdrawals as (
    {{ distinct_rows('email_events', "lower(kind) in ('unsubscribed', 'complained')") }}
)

select
    consents.source,
    consents.contact_id,
    consents.channel,
    consents.purpose,
    consents.contact_point,
    consents.is_granted,
    consents.recorded_at,
    consents.loaded_at
from {{ ref('stg_consents') }} as consents
union all
select
    _source as source,
    coalesce(contact_id, email) as contact_id,
    'email' as channel,
    {{ text_literal(var('consent_purpose')) }} as purpose,
    email as contact_point,
    false as is_granted,
    occurred_at as recorded_at,
    _loaded_at as loaded_at
from withdrawals
