{{ config(tags=['unify'], materialized='view') }}

-- Everything that happened, with visits of people unknown, in the order of kinds.
select
    customer_id,
    ordered_at as occurred_at,
    order_date as interaction_date,
    case when net_amount < 0 or status = 'returned' then 'return' else 'order' end as kind,
    channel,
    source,
    order_id as record_id,
    campaign_id,
    reporting_net_amount as amount,
    store as subject,
    cast(null as {{ dbt.type_string() }}) as owner
from {{ ref('orders') }}
where customer_id is not null and status <> 'cancelled'
union all
select
    customer_id,
    created_at as occurred_at,
    {{ local_date('created_at') }} as interaction_date,
    'cart' as kind,
    'web' as channel,
    source,
    cart_id as record_id,
    cast(null as {{ dbt.type_string() }}) as campaign_id,
    amount,
    cast(null as {{ dbt.type_string() }}) as subject,
    cast(null as {{ dbt.type_string() }}) as owner
from {{ ref('carts') }}
where customer_id is not null
union all
select
    customer_id,
    occurred_at,
    interaction_date,
    kind,
    'email' as channel,
    source,
    record_id,
    campaign_id,
    cast(null as {{ amount_type() }}) as amount,
    subject,
    cast(null as {{ dbt.type_string() }}) as owner
from {{ ref('int_email_events__identified') }}
union all
select
    customer_id,
    occurred_at,
    interaction_date,
    'web_visit' as kind,
    'web' as channel,
    source,
    record_id,
    campaign_id,
    cast(null as {{ amount_type() }}) as amount,
    page as subject,
    cast(null as {{ dbt.type_string() }}) as owner
from {{ ref('int_web_visits__identified') }}
union all
select
    identity_map.customer_id,
    records.occurred_at,
    {{ local_date('records.occurred_at') }} as interaction_date,
    records.kind,
    case records.kind
        when 'call' then 'phone' when 'visit' then 'field' when 'chat' then 'chat' else 'sales'
    end as channel,
    records.source,
    records.interaction_id as record_id,
    cast(null as {{ dbt.type_string() }}) as campaign_id,
    cast(null as {{ amount_type() }}) as amount,
    coalesce(records.subject, records.outcome) as subject,
    records.owner
from {{ ref('stg_interactions') }} as records
left join {{ source('identity', 'identity_map') }} as identity_map
    on records.source = identity_map.source and records.contact_id = identity_map.contact_id
union all
select
    customer_id,
    opened_at as occurred_at,
    {{ local_date('opened_at') }} as interaction_date,
    'ticket' as kind,
    channel,
    source,
    ticket_id as record_id,
    cast(null as {{ dbt.type_string() }}) as campaign_id,
    cast(null as {{ amount_type() }}) as amount,
    category as subject,
    cast(null as {{ dbt.type_string() }}) as owner
from {{ ref('tickets') }}
union all
select
    customer_id,
    answered_at as occurred_at,
    {{ local_date('answered_at') }} as interaction_date,
    'survey' as kind,
    'survey' as channel,
    source,
    survey_id as record_id,
    cast(null as {{ dbt.type_string() }}) as campaign_id,
    cast(null as {{ amount_type() }}) as amount,
    kind || ' ' || cast(score as {{ dbt.type_string() }}) as subject,
    cast(null as {{ dbt.type_string() }}) as owner
from {{ ref('surveys') }}
union all
select
    customer_id,
    created_at as occurred_at,
    created_date as interaction_date,
    'lead' as kind,
    channel,
    source,
    lead_id as record_id,
    campaign_id,
    cast(null as {{ amount_type() }}) as amount,
    landing_page as subject,
    cast(null as {{ dbt.type_string() }}) as owner
from {{ ref('leads') }}
union all
select
    customer_id,
    created_at as occurred_at,
    {{ local_date('created_at') }} as interaction_date,
    'opportunity' as kind,
    'sales' as channel,
    source,
    opportunity_id as record_id,
    cast(null as {{ dbt.type_string() }}) as campaign_id,
    reporting_amount as amount,
    opportunity_name as subject,
    cast(null as {{ dbt.type_string() }}) as owner
from {{ ref('opportunities') }}
where created_at is not null
