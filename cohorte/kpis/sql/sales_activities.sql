-- One row per call, visit or meeting. Who had it is not told, but which were one person's of a day.
select
    interactions.interaction_date as day,
    interactions.source,
    interactions.kind,
    case
        when interactions.owner is not null
            then md5(concat(interactions.owner, ' ', interactions.interaction_date))
    end as person_day,
    profiles.country_code,
    profiles.region,
    profiles.party,
    interactions.customer_id
from interactions
left join customer_profiles as profiles on interactions.customer_id = profiles.customer_id
where
    interactions.kind in ('call', 'visit', 'meeting')
    and not coalesce(profiles.is_internal, false)
