{{ config(tags=['profile']) }}

select
    cast(source as {{ dbt.type_string() }}) as source,
    address_problem is null as is_address_valid,
    cast(address_problem as {{ dbt.type_string() }}) as address_problem,
    cast(verdict as {{ dbt.type_string() }}) as verdict,
    cast(checked_by as {{ dbt.type_string() }}) as checked_by,
    cast(count(*) as {{ dbt.type_bigint() }}) as contacts_count
from {{ ref('int_contacts__addresses') }}
where has_address
group by source, address_problem, verdict, checked_by
