{{ config(tags=['unify'], meta={'by_customer': 'customer_id'}) }}

-- For each contact point and purpose: what each record said last, and of several records the
-- strictest, so that joining two records never makes somebody reachable who had refused. A refusal
-- of a record that has no contact point holds for all of the customer's. A consent dated after the
-- day looked from does not stand yet; a refusal does at once.
with latest as (
    select
        *,
        row_number() over (
            partition by source, contact_id, channel, purpose, contact_point
            order by recorded_at desc, is_granted asc
        ) as statement_rank
    from {{ ref('consent_statements') }}
    where not is_granted or recorded_at < {{ as_of_end() }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id, channel, purpose, contact_point
            order by is_granted asc, recorded_at desc, source asc, contact_id asc
        ) as strictness_rank
    from latest
    where statement_rank = 1
),

refused_everywhere as (
    select customer_id, channel, purpose
    from ranked
    where contact_point is null and strictness_rank = 1 and not is_granted
)

select
    cast(ranked.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(ranked.channel as {{ dbt.type_string() }}) as channel,
    cast(ranked.purpose as {{ dbt.type_string() }}) as purpose,
    cast(ranked.contact_point as {{ dbt.type_string() }}) as contact_point,
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
