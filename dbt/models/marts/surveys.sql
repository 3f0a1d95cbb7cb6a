{{ config(tags=['unify']) }}

select
    cast(surveys.source as {{ dbt.type_string() }}) as source,
    cast(surveys.survey_id as {{ dbt.type_string() }}) as survey_id,
    cast(identity_map.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(surveys.kind as {{ dbt.type_string() }}) as kind,
    cast(surveys.score as {{ dbt.type_bigint() }}) as score,
    cast(surveys.answered_at as {{ dbt.type_timestamp() }}) as answered_at,
    cast(surveys.comment as {{ dbt.type_string() }}) as comment,
    cast(surveys.order_id as {{ dbt.type_string() }}) as order_id,
    cast(surveys.ticket_id as {{ dbt.type_string() }}) as ticket_id,
    cast(coalesce(bought.channel, tickets.channel) as {{ dbt.type_string() }}) as channel,
    cast(
        coalesce(bought.product_name, tickets.product_name) as {{ dbt.type_string() }}
    ) as product_name,
    cast(
        case
            when bought.order_id is not null then bought.product_category
            else tickets.product_category
        end as {{ dbt.type_string() }}
    ) as product_category
from {{ ref('stg_surveys') }} as surveys
left join {{ source('identity', 'identity_map') }} as identity_map
    on surveys.source = identity_map.source and surveys.contact_id = identity_map.contact_id
left join {{ ref('int_orders__asked_about') }} as bought
    on
        surveys.order_id = bought.order_id
        and coalesce(identity_map.customer_id, '') = coalesce(bought.customer_id, '')
left join (
    select
        ticket_id,
        customer_id,
        min(channel) as channel,
        min(product_name) as product_name,
        min(product_category) as product_category
    from {{ ref('tickets') }}
    group by ticket_id, customer_id
) as tickets
    on
        surveys.ticket_id = tickets.ticket_id
        and coalesce(identity_map.customer_id, '') = coalesce(tickets.customer_id, '')
