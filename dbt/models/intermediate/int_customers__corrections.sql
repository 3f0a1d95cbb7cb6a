{{ config(tags=['unify']) }}

-- What people set right, one row per customer: it rules over every source.
select
    customer_id,
    max(case when field = 'full_name' then value end) as full_name,
    max(case when field = 'first_name' then value end) as first_name,
    max(case when field = 'last_name' then value end) as last_name,
    max(case when field = 'email' then value end) as email,
    max(case when field = 'phone' then value end) as phone,
    max(case when field = 'gender' then value end) as gender,
    max(case when field = 'language' then value end) as language,
    max(case when field = 'company_name' then value end) as company_name,
    max(case when field = 'address_line' then value end) as address_line,
    max(case when field = 'postcode' then value end) as postcode,
    max(case when field = 'city' then value end) as city,
    cast(max(case when field = 'birth_date' then value end) as date) as birth_date
from {{ source('identity', 'corrections') }}
group by customer_id
