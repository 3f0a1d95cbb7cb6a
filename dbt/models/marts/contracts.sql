{{ config(tags=['unify']) }}

select
    cast(contracts.source as {{ dbt.type_string() }}) as source,
    cast(contracts.contract_id as {{ dbt.type_string() }}) as contract_id,
    cast(identity_map.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(contracts.account_id as {{ dbt.type_string() }}) as account_id,
    cast(contracts.contract_name as {{ dbt.type_string() }}) as contract_name,
    cast(contracts.started_date as date) as started_date,
    cast(contracts.end_date as date) as end_date,
    cast(contracts.renewed_at as {{ dbt.type_timestamp() }}) as renewed_at,
    cast(contracts.cancelled_at as {{ dbt.type_timestamp() }}) as cancelled_at,
    cast(contracts.amount as {{ amount_type() }}) as amount,
    cast(contracts.currency_code as {{ dbt.type_string() }}) as currency_code,
    cast(contracts.status as {{ dbt.type_string() }}) as status
from {{ ref('stg_contracts') }} as contracts
left join {{ source('identity', 'identity_map') }} as identity_map
    on contracts.source = identity_map.source and contracts.contact_id = identity_map.contact_id
