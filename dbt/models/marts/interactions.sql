{{ config(tags=['unify'], materialized='view') }}

select
    cast(kind || ':' || source || ':' || record_id as {{ dbt.type_string() }}) as interaction_id,
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(occurred_at as {{ dbt.type_timestamp() }}) as occurred_at,
    cast(interaction_date as date) as interaction_date,
    cast(kind as {{ dbt.type_string() }}) as kind,
    cast(channel as {{ dbt.type_string() }}) as channel,
    cast(source as {{ dbt.type_string() }}) as source,
    cast(record_id as {{ dbt.type_string() }}) as record_id,
    cast(campaign_id as {{ dbt.type_string() }}) as campaign_id,
    cast(amount as {{ amount_type() }}) as amount,
    cast(subject as {{ dbt.type_string() }}) as subject,
    cast(owner as {{ dbt.type_string() }}) as owner
from {{ ref('int_interactions__events') }}
-- Being held out of a campaign is nothing that happened between the customer and us.
where (kind <> 'web_visit' or customer_id is not null) and kind <> 'email_held_out'
