{{ config(tags=['profile']) }}

select
    cast(source as {{ dbt.type_string() }}) as source,
    address_problem is null as is_address_valid,
    cast(address_problem as {{ dbt.type_string() }}) as address_problem,
    cast(count(*) as {{ dbt.type_bigint() }}) as contacts_count
from {{ ref('int_contacts__addresses') }}
where has_address
group by source, address_problem
