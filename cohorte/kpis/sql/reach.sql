-- One row per customer, with the channels they may be contacted on as of the version.
select
    profiles.country_code,
    profiles.region,
    profiles.lifecycle_status,
    profiles.rfm_segment,
    profiles.customer_id,
    profiles.is_contactable_email,
    profiles.is_contactable_sms,
    profiles.is_contactable_phone,
    profiles.is_contactable_post
from customer_profiles as profiles
where not coalesce(profiles.is_internal, false)
