{{ config(tags=['unify']) }}

select
    cast(customer_id as {{ dbt.type_string() }}) as alias_id,
    cast(merged_into as {{ dbt.type_string() }}) as customer_id,
    cast(retired_at as {{ dbt.type_timestamp() }}) as retired_at
from {{ source('identity', 'redirects') }}
