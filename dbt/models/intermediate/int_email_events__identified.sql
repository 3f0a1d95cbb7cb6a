{{ config(tags=['unify'], meta={'by_customer': 'source, record_id'}) }}

-- Kept in the order of delivery, which is nearly the order of time.
select
    events.source,
    events.record_id,
    identity_map.customer_id,
    events.campaign_id,
    events.kind,
    case when events.kind = 'email_clicked' then events.url else campaigns.campaign_name end
        as subject,
    events.occurred_at,
    {{ local_date('events.occurred_at') }} as interaction_date
from {{ ref('stg_email_events') }} as events
left join {{ source('identity', 'identity_map') }} as identity_map
    on events.source = identity_map.source and events.contact_id = identity_map.contact_id
left join {{ ref('stg_campaigns') }} as campaigns
    on events.source = campaigns.source and events.campaign_id = campaigns.campaign_id
