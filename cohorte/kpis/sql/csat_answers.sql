-- One row per answer to a satisfaction survey, dated by the answer.
select
    cast(timezone($time_zone, timezone('UTC', surveys.answered_at)) as date) as day,
    surveys.source,
    surveys.channel,
    surveys.product_category,
    surveys.product_name,
    profiles.country_code,
    profiles.region,
    profiles.rfm_segment,
    surveys.customer_id,
    surveys.score
from surveys
left join customer_profiles as profiles on surveys.customer_id = profiles.customer_id
where
    surveys.kind = 'csat'
    and surveys.score between 1 and 5
    and not coalesce(profiles.is_internal, false)
