{{ config(tags=['unify']) }}

-- The latest statement for each contact point and purpose; at one moment a refusal wins.
with statements as (
    select
        contacts.customer_id,
        statements.channel,
        statements.purpose,
        case statements.channel
            when 'email'
                then coalesce(
                    {{ normalise_email('statements.contact_point') }},
                    lower(statements.contact_point),
                    contacts.email_address,
                    contacts.email
                )
            when 'post' then coalesce(statements.contact_point, contacts.post_address)
            else coalesce(
                {{ normalise_phone('statements.contact_point', 'contacts.country_code') }},
                statements.contact_point,
                contacts.phone_key,
                contacts.phone
            )
        end as contact_point,
        statements.is_granted,
        statements.recorded_at,
        statements.source
    from {{ ref('int_consents__statements') }} as statements
    inner join (
        select *, {{ postal_address() }} as post_address
        from {{ ref('int_contacts__identified') }}
    ) as contacts
        on
            statements.source = contacts.source
            and statements.contact_id = contacts.contact_id
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id, channel, purpose, contact_point
            order by recorded_at desc, is_granted asc, source asc
        ) as statement_rank
    from statements
)

select
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(channel as {{ dbt.type_string() }}) as channel,
    cast(purpose as {{ dbt.type_string() }}) as purpose,
    cast(contact_point as {{ dbt.type_string() }}) as contact_point,
    cast(is_granted as {{ dbt.type_boolean() }}) as is_granted,
    cast(recorded_at as {{ dbt.type_timestamp() }}) as recorded_at,
    cast(source as {{ dbt.type_string() }}) as source
from ranked
where statement_rank = 1
