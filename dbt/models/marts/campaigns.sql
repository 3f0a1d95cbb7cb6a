{{ config(tags=['unify']) }}

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(campaign_id as {{ dbt.type_string() }}) as campaign_id,
    cast(campaign_name as {{ dbt.type_string() }}) as campaign_name,
    cast(channel as {{ dbt.type_string() }}) as channel,
    cast(objective as {{ dbt.type_string() }}) as objective,
    cast(started_at as {{ dbt.type_timestamp() }}) as started_at,
    cast(ended_at as {{ dbt.type_timestamp() }}) as ended_at,
    cast(budget_amount as {{ amount_type() }}) as budget_amount,
    cast(cost_amount as {{ amount_type() }}) as cost_amount,
    cast(currency_code as {{ dbt.type_string() }}) as currency_code
from {{ ref('stg_campaigns') }}
