-- One row per customer whose future was estimated, as of the version.
select
    profiles.country_code,
    profiles.region,
    profiles.party,
    profiles.rfm_segment,
    profiles.lifecycle_status,
    profiles.customer_id,
    profiles.expected_value
from customer_profiles as profiles
where profiles.expected_value is not null and not coalesce(profiles.is_internal, false)
