{{ config(tags=['unify']) }}

with became as (
    select
        source,
        lead_id,
        min(opportunity_id) as opportunity_id,
        min(coalesce(created_at, closed_at)) as became_at
    from {{ ref('stg_opportunities') }}
    where lead_id is not null
    group by source, lead_id
)

select
    cast(leads.source as {{ dbt.type_string() }}) as source,
    cast(leads.lead_id as {{ dbt.type_string() }}) as lead_id,
    cast(identity_map.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(leads.account_id as {{ dbt.type_string() }}) as account_id,
    cast(leads.full_name as {{ dbt.type_string() }}) as full_name,
    cast(leads.email as {{ dbt.type_string() }}) as email,
    cast(leads.company_name as {{ dbt.type_string() }}) as company_name,
    cast(leads.created_at as {{ dbt.type_timestamp() }}) as created_at,
    cast(leads.created_date as date) as created_date,
    cast(leads.channel as {{ dbt.type_string() }}) as channel,
    cast(leads.landing_page as {{ dbt.type_string() }}) as landing_page,
    cast(leads.campaign_id as {{ dbt.type_string() }}) as campaign_id,
    cast(leads.industry as {{ dbt.type_string() }}) as industry,
    cast(leads.owner as {{ dbt.type_string() }}) as owner,
    cast(leads.status as {{ dbt.type_string() }}) as status,
    coalesce(
        leads.converted_at is not null
        or leads.opportunity_id is not null
        or became.opportunity_id is not null
        or leads.status = 'converted',
        false
    ) as is_converted,
    cast(coalesce(leads.converted_at, became.became_at) as {{ dbt.type_timestamp() }})
        as converted_at,
    cast(coalesce(leads.opportunity_id, became.opportunity_id) as {{ dbt.type_string() }})
        as opportunity_id
from {{ ref('stg_leads') }} as leads
left join became on leads.source = became.source and leads.lead_id = became.lead_id
left join {{ source('identity', 'identity_map') }} as identity_map
    on leads.source = identity_map.source and leads.contact_id = identity_map.contact_id
