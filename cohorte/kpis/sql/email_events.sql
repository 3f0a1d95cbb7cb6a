-- One row per e-mail event, dated by the event.
select
    interactions.interaction_date as day,
    interactions.source,
    interactions.campaign_id,
    profiles.country_code,
    profiles.region,
    profiles.rfm_segment,
    interactions.customer_id,
    interactions.kind
from interactions
left join customer_profiles as profiles on interactions.customer_id = profiles.customer_id
where
    interactions.kind in ('email_sent', 'email_opened', 'email_clicked')
    and not coalesce(profiles.is_internal, false)
