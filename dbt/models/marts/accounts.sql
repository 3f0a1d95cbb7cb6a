{{ config(tags=['unify']) }}

with members as (
    select source, account_id, count(*) as contacts_count
    from {{ ref('int_contacts__identified') }}
    where account_id is not null
    group by source, account_id
)

select
    cast(accounts.source as {{ dbt.type_string() }}) as source,
    cast(accounts.account_id as {{ dbt.type_string() }}) as account_id,
    cast(map.organisation_id as {{ dbt.type_string() }}) as organisation_id,
    cast(map.link_rule as {{ dbt.type_string() }}) as link_rule,
    cast(accounts.account_name as {{ dbt.type_string() }}) as account_name,
    cast(accounts.legal_id as {{ dbt.type_string() }}) as legal_id,
    cast(accounts.vat_number as {{ dbt.type_string() }}) as vat_number,
    cast(accounts.domain as {{ dbt.type_string() }}) as domain,
    cast(accounts.parent_account_id as {{ dbt.type_string() }}) as parent_account_id,
    cast(accounts.industry as {{ dbt.type_string() }}) as industry,
    cast(accounts.employees_count as {{ dbt.type_bigint() }}) as employees_count,
    cast(accounts.phone as {{ dbt.type_string() }}) as phone,
    cast(accounts.address_line as {{ dbt.type_string() }}) as address_line,
    cast(accounts.postcode as {{ dbt.type_string() }}) as postcode,
    cast(accounts.city as {{ dbt.type_string() }}) as city,
    cast(accounts.country_code as {{ dbt.type_string() }}) as country_code,
    cast(coalesce(members.contacts_count, 0) as {{ dbt.type_bigint() }}) as contacts_count,
    cast(accounts.created_at as {{ dbt.type_timestamp() }}) as created_at
from {{ ref('stg_accounts') }} as accounts
left join {{ source('identity', 'organisations') }} as map
    on accounts.source = map.source and accounts.account_id = map.account_id
left join members
    on accounts.source = members.source and accounts.account_id = members.account_id
