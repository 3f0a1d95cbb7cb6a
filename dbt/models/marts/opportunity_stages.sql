{{ config(tags=['unify']) }}

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(opportunity_id as {{ dbt.type_string() }}) as opportunity_id,
    cast(stage as {{ dbt.type_string() }}) as stage,
    cast(entered_at as {{ dbt.type_timestamp() }}) as entered_at
from {{ ref('stg_opportunity_stages') }}
