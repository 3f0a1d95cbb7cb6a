{{ config(tags=['unify'], materialized='view') }}

select
    interaction_id,
    customer_id,
    campaign_id,
    kind,
    occurred_at
from {{ ref('interactions') }}
where campaign_id is not null
union all
select
    cast('held_out:' || source || ':' || record_id as {{ dbt.type_string() }}) as interaction_id,
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(campaign_id as {{ dbt.type_string() }}) as campaign_id,
    'held_out' as kind,
    cast(occurred_at as {{ dbt.type_timestamp() }}) as occurred_at
from {{ ref('int_email_events__identified') }}
where kind = 'email_held_out'
