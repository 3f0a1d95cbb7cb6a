{{ config(tags=['unify']) }}

-- For each contact point and purpose: what each record said last, and of several records the
-- strictest, so that joining two records never makes somebody reachable who had refused. A
-- statement that names no contact point holds for the record's own; a refusal of a record that has
-- none holds for all of the customer's.
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
),

latest as (
    select
        *,
        row_number() over (
            partition by source, contact_id, channel, purpose, known_contact_point
            order by recorded_at desc, is_granted asc
        ) as statement_rank
    from addressed
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id, channel, purpose, known_contact_point
            order by is_granted asc, recorded_at desc, source asc, contact_id asc
        ) as strictness_rank
    from latest
    where statement_rank = 1
),

refused_everywhere as (
    select customer_id, channel, purpose
    from ranked
    where known_contact_point is null and strictness_rank = 1 and not is_granted
)

select
    cast(ranked.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(ranked.channel as {{ dbt.type_string() }}) as channel,
    cast(ranked.purpose as {{ dbt.type_string() }}) as purpose,
    cast(ranked.known_contact_point as {{ dbt.type_string() }}) as contact_point,
    cast(
        ranked.is_granted and refused_everywhere.customer_id is null
        as {{ dbt.type_boolean() }}
    ) as is_granted,
    cast(ranked.recorded_at as {{ dbt.type_timestamp() }}) as recorded_at,
    cast(ranked.source as {{ dbt.type_string() }}) as source
from ranked
left join refused_everywhere
    on
        ranked.customer_id = refused_everywhere.customer_id
        and ranked.channel = refused_everywhere.channel
        and ranked.purpose = refused_everywhere.purpose
where ranked.strictness_rank = 1
