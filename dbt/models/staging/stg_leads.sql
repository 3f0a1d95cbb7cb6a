{{ config(materialized='table') }}

with records as (
    {{ latest_version('leads', ['lead_id']) }}
)

select
    _source as source,
    lead_id,
    contact_id,
    account_id,
    campaign_id,
    opportunity_id,

    {{ clean_text('full_name') }} as full_name,
    {{ normalise_email('email') }} as email,
    {{ clean_text('phone') }} as phone,
    {{ clean_text('company_name') }} as company_name,
    lower({{ clean_text('channel') }}) as channel,
    {{ clean_text('landing_page') }} as landing_page,
    {{ clean_text('industry') }} as industry,
    {{ clean_text('interest') }} as interest,
    {{ clean_text('owner') }} as owner,
    lower({{ clean_text('status') }}) as status,
    upper({{ clean_text('postcode') }}) as postcode,
    upper({{ clean_text('country_code') }}) as country_code,
    employees_count,

    {{ local_date('created_at') }} as created_date,
    created_at,
    first_contacted_at,
    converted_at
from records
