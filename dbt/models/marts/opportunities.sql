{{ config(tags=['unify']) }}

with opportunities as (
    select
        opportunities.*,
        coalesce(opportunities.contact_id, leads.contact_id) as known_contact_id,
        coalesce(opportunities.account_id, leads.account_id) as known_account_id,
        {{ local_date('opportunities.created_at') }} as created_date
    from {{ ref('stg_opportunities') }} as opportunities
    left join {{ ref('stg_leads') }} as leads
        on opportunities.source = leads.source and opportunities.lead_id = leads.lead_id
)

select
    cast(opportunities.source as {{ dbt.type_string() }}) as source,
    cast(opportunities.opportunity_id as {{ dbt.type_string() }}) as opportunity_id,
    cast(opportunities.lead_id as {{ dbt.type_string() }}) as lead_id,
    cast(identity_map.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(opportunities.known_account_id as {{ dbt.type_string() }}) as account_id,
    cast(opportunities.opportunity_name as {{ dbt.type_string() }}) as opportunity_name,
    cast(opportunities.owner as {{ dbt.type_string() }}) as owner,
    cast(opportunities.team as {{ dbt.type_string() }}) as team,
    cast(opportunities.stage as {{ dbt.type_string() }}) as stage,
    cast(opportunities.amount as {{ amount_type() }}) as amount,
    cast(opportunities.currency_code as {{ dbt.type_string() }}) as currency_code,
    cast(
        {{ in_reporting_currency(
            'opportunities.amount', 'opportunities.currency_code', 'rates.rate'
        ) }} as {{ amount_type() }}
    ) as reporting_amount,
    cast(opportunities.created_at as {{ dbt.type_timestamp() }}) as created_at,
    cast(opportunities.expected_close_date as date) as expected_close_date,
    cast(opportunities.closed_at as {{ dbt.type_timestamp() }}) as closed_at,
    cast(opportunities.is_won as {{ dbt.type_boolean() }}) as is_won,
    cast(opportunities.lost_reason as {{ dbt.type_string() }}) as lost_reason
from opportunities
left join {{ source('identity', 'identity_map') }} as identity_map
    on
        opportunities.source = identity_map.source
        and opportunities.known_contact_id = identity_map.contact_id
left join {{ ref('int_exchange_rates__daily') }} as rates
    on
        opportunities.currency_code = rates.currency_code
        and opportunities.created_date = rates.rate_date
