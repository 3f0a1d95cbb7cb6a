{{ config(
    tags=['unify'],
    meta={'by_customer': 'customer_id', 'timeless': ['customers', 'int_customers__activity']}
) }}

-- What the search of customers looks in when it is given a number or an address: sorted, so that it
-- reads the blocks alike alone. Of ids and numbers letters and figures count, of addresses all.
with known as (
    select
        'customer' as kind,
        customer_id as written,
        customer_id
    from {{ ref('customers') }}
    union all
    select
        'order' as kind,
        order_id as written,
        customer_id
    from {{ ref('orders') }}
    union all
    select
        'record' as kind,
        contact_id as written,
        customer_id
    from {{ ref('identities') }}
    union all
    select
        channel as kind,
        contact_point as written,
        customer_id
    from {{ ref('contact_points') }}
    where channel in ('email', 'phone')
),

keyed as (
    select
        kind,
        case
            when kind = 'email' then lower(written)
            else replace({{ fold_text('written') }}, ' ', '')
        end as key,
        customer_id
    from known
    where customer_id is not null
)

select distinct
    cast(kind as {{ dbt.type_string() }}) as kind,
    cast(key as {{ dbt.type_string() }}) as key,
    cast(customer_id as {{ dbt.type_string() }}) as customer_id
from keyed
where length(key) >= 2
order by kind asc, key asc, customer_id asc
