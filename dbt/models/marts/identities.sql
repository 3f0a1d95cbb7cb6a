{{ config(tags=['unify'], meta={'by_customer': 'customer_id'}) }}

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(contact_id as {{ dbt.type_string() }}) as contact_id,
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(link_rule as {{ dbt.type_string() }}) as link_rule,
    cast(full_name as {{ dbt.type_string() }}) as full_name,
    cast(email as {{ dbt.type_string() }}) as email,
    cast(coalesce(phone_key, phone) as {{ dbt.type_string() }}) as phone,
    cast(postcode as {{ dbt.type_string() }}) as postcode,
    cast(city as {{ dbt.type_string() }}) as city,
    cast(birth_date as date) as birth_date,
    cast(address_line as {{ dbt.type_string() }}) as address_line,
    cast(gender as {{ dbt.type_string() }}) as gender,
    cast(language as {{ dbt.type_string() }}) as language,
    cast(company_name as {{ dbt.type_string() }}) as company_name,
    cast(account_id as {{ dbt.type_string() }}) as account_id,
    cast(created_at as {{ dbt.type_timestamp() }}) as created_at
from {{ ref('int_contacts__identified') }}
