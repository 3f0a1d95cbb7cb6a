{{ config(tags=['unify']) }}

with points as (
    select
        customer_id,
        'email' as channel,
        coalesce(email_address, email) as contact_point,
        email_address is not null as is_valid,
        source,
        record_number,
        created_at
    from {{ ref('int_contacts__identified') }}
    where email is not null
    union all
    select
        customer_id,
        'phone' as channel,
        coalesce(phone_key, phone) as contact_point,
        phone_key is not null as is_valid,
        source,
        record_number,
        created_at
    from {{ ref('int_contacts__identified') }}
    where phone is not null
    union all
    select
        customer_id,
        'post' as channel,
        {{ postal_address() }} as contact_point,
        postcode is not null and city is not null as is_valid,
        source,
        record_number,
        created_at
    from {{ ref('int_contacts__identified') }}
    where address_line is not null
),

merged as (
    select
        customer_id,
        channel,
        contact_point,
        max(case when is_valid then 1 else 0 end) as is_valid,
        min(record_number) as record_number,
        {{ value_at_least('source', 'record_number') }} as source,
        min(created_at) as first_seen_at
    from points
    group by customer_id, channel, contact_point
)

select
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(channel as {{ dbt.type_string() }}) as channel,
    cast(contact_point as {{ dbt.type_string() }}) as contact_point,
    cast(source as {{ dbt.type_string() }}) as source,
    is_valid = 1 as is_valid,
    row_number() over (
        partition by customer_id, channel
        order by is_valid desc, record_number asc, contact_point asc
    ) = 1 as is_primary,
    cast(first_seen_at as {{ dbt.type_timestamp() }}) as first_seen_at
from merged
