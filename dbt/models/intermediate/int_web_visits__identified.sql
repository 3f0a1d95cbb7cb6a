{{ config(tags=['unify'], meta={'by_customer': 'source, record_id'}) }}

-- Visits of people unknown are kept: they count as visits.
select
    visits.source,
    visits.record_id,
    identity_map.customer_id,
    visits.campaign_id,
    visits.page,
    visits.occurred_at,
    {{ local_date('visits.occurred_at') }} as interaction_date
from {{ ref('stg_web_visits') }} as visits
left join {{ source('identity', 'identity_map') }} as identity_map
    on visits.source = identity_map.source and visits.contact_id = identity_map.contact_id
