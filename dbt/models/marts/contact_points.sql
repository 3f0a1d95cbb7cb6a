{{ config(tags=['unify'], meta={'by_customer': 'customer_id'}) }}

with points as (
    select
        customer_id,
        'email' as channel,
        coalesce(email_address, email) as contact_point,
        email_address is not null and closed_at is null as is_valid,
        cast(null as {{ dbt.type_string() }}) as checked_by,
        source,
        belief_rank,
        created_at
    from {{ ref('int_contacts__identified') }}
    where email is not null
    union all
    select
        customer_id,
        'phone' as channel,
        coalesce(phone_key, phone) as contact_point,
        phone_key is not null and closed_at is null as is_valid,
        cast(null as {{ dbt.type_string() }}) as checked_by,
        source,
        belief_rank,
        created_at
    from {{ ref('int_contacts__identified') }}
    where phone is not null
    union all
    select
        contacts.customer_id,
        'post' as channel,
        {{ postal_address() }} as contact_point,
        addresses.address_problem is null and contacts.closed_at is null as is_valid,
        addresses.checked_by,
        contacts.source,
        contacts.belief_rank,
        contacts.created_at
    from {{ ref('int_contacts__identified') }} as contacts
    inner join {{ ref('int_contacts__addresses') }} as addresses
        on contacts.source = addresses.source and contacts.contact_id = addresses.contact_id
    where contacts.address_line is not null
    union all
    select
        customer_id,
        'email' as channel,
        email as contact_point,
        true as is_valid,
        cast(null as {{ dbt.type_string() }}) as checked_by,
        'correction' as source,
        -1 as belief_rank,
        cast(null as {{ dbt.type_timestamp() }}) as created_at
    from {{ ref('int_customers__corrections') }}
    where email is not null
    union all
    select
        customer_id,
        'phone' as channel,
        phone as contact_point,
        true as is_valid,
        cast(null as {{ dbt.type_string() }}) as checked_by,
        'correction' as source,
        -1 as belief_rank,
        cast(null as {{ dbt.type_timestamp() }}) as created_at
    from {{ ref('int_customers__corrections') }}
    where phone is not null
),

merged as (
    select
        customer_id,
        channel,
        contact_point,
        max(case when is_valid then 1 else 0 end) as is_valid,
        max(checked_by) as checked_by,
        min(belief_rank) as belief_rank,
        {{ value_at_least('source', 'belief_rank') }} as source,
        min(created_at) as first_seen_at
    from points
    group by customer_id, channel, contact_point
)

select
    cast(merged.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(merged.channel as {{ dbt.type_string() }}) as channel,
    cast(merged.contact_point as {{ dbt.type_string() }}) as contact_point,
    cast(merged.source as {{ dbt.type_string() }}) as source,
    merged.is_valid = 1 as is_valid,
    cast(merged.checked_by as {{ dbt.type_string() }}) as checked_by,
    coalesce(
        merged.contact_point = case merged.channel
            when 'email' then corrections.email
            when 'phone' then corrections.phone
        end,
        merged.belief_rank = case merged.channel
            when 'email' then golden.email_record
            when 'phone' then golden.phone_record
            else golden.address_record
        end,
        false
    ) as is_primary,
    cast(merged.first_seen_at as {{ dbt.type_timestamp() }}) as first_seen_at
from merged
left join {{ ref('int_customers__golden_records') }} as golden
    on merged.customer_id = golden.customer_id
left join {{ ref('int_customers__corrections') }} as corrections
    on merged.customer_id = corrections.customer_id
