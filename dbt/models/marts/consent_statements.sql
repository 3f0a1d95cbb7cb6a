{{ config(tags=['unify'], meta={'by_customer': 'customer_id'}) }}

-- A statement that names no contact point holds for the record's own.
with statements as (
    select
        contacts.customer_id,
        statements.channel,
        statements.purpose,
        statements.contact_point,
        {{ normalise_email('statements.contact_point') }} as given_email,
        case when statements.channel not in ('email', 'post') then statements.contact_point end
            as given_number,
        contacts.country_code as country,
        coalesce(contacts.email_address, contacts.email) as own_email,
        coalesce(contacts.phone_key, contacts.phone) as own_phone,
        contacts.post_address as own_post,
        statements.is_granted,
        statements.recorded_at,
        statements.loaded_at,
        statements.source,
        statements.contact_id
    from {{ ref('int_consents__statements') }} as statements
    inner join (
        select *, {{ postal_address() }} as post_address
        from {{ ref('int_contacts__identified') }}
    ) as contacts
        on
            statements.source = contacts.source
            and statements.contact_id = contacts.contact_id
),

numbered as (
    select *, {{ phone_digits('given_number', 'country') }} as given_digits
    from statements
),

dialled as (
    select *, {{ normalise_phone('given_number', 'given_digits', 'country') }} as given_phone
    from numbered
),

addressed as (
    select
        *,
        case channel
            when 'email' then coalesce(given_email, lower(contact_point), own_email)
            when 'post' then coalesce(contact_point, own_post)
            else coalesce(given_phone, contact_point, own_phone)
        end as known_contact_point
    from dialled
)

select
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(source as {{ dbt.type_string() }}) as source,
    cast(contact_id as {{ dbt.type_string() }}) as contact_id,
    cast(channel as {{ dbt.type_string() }}) as channel,
    cast(purpose as {{ dbt.type_string() }}) as purpose,
    cast(known_contact_point as {{ dbt.type_string() }}) as contact_point,
    cast(is_granted as {{ dbt.type_boolean() }}) as is_granted,
    cast(recorded_at as {{ dbt.type_timestamp() }}) as recorded_at,
    cast(min(loaded_at) as {{ dbt.type_timestamp() }}) as loaded_at
from addressed
group by
    customer_id, source, contact_id, channel, purpose, known_contact_point, is_granted, recorded_at
