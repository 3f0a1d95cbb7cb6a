-- One row per call, visit or meeting.
select
    interactions.interaction_date as day,
    interactions.source,
    interactions.kind,
    profiles.country_code,
    profiles.region,
    profiles.party,
    interactions.customer_id
from interactions
left join customer_profiles as profiles on interactions.customer_id = profiles.customer_id
where
    interactions.kind in ('call', 'visit', 'meeting')
    and not coalesce(profiles.is_internal, false)
