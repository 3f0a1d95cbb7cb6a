{{ config(tags=['unify']) }}

select
    cast(occurred_at as {{ dbt.type_timestamp() }}) as occurred_at,
    cast(event as {{ dbt.type_string() }}) as event,
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(other_customer_id as {{ dbt.type_string() }}) as other_customer_id,
    cast(records_count as {{ dbt.type_bigint() }}) as records_count
from {{ source('identity', 'events') }}
