{{ config(tags=['unify']) }}

select
    cast(tickets.source as {{ dbt.type_string() }}) as source,
    cast(tickets.ticket_id as {{ dbt.type_string() }}) as ticket_id,
    cast(identity_map.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(tickets.order_id as {{ dbt.type_string() }}) as order_id,
    cast(tickets.channel as {{ dbt.type_string() }}) as channel,
    cast(tickets.category as {{ dbt.type_string() }}) as category,
    cast(tickets.priority as {{ dbt.type_string() }}) as priority,
    cast(tickets.status as {{ dbt.type_string() }}) as status,
    cast(tickets.opened_at as {{ dbt.type_timestamp() }}) as opened_at,
    cast(tickets.first_response_at as {{ dbt.type_timestamp() }}) as first_response_at,
    cast(tickets.resolved_at as {{ dbt.type_timestamp() }}) as resolved_at,
    cast(coalesce(tickets.reopened_count, 0) as {{ dbt.type_bigint() }}) as reopened_count,
    cast(
        coalesce(products.product_name, bought.product_name) as {{ dbt.type_string() }}
    ) as product_name,
    cast(
        case
            when products.product_id is not null then products.category
            else bought.product_category
        end as {{ dbt.type_string() }}
    ) as product_category
from {{ ref('stg_tickets') }} as tickets
left join {{ source('identity', 'identity_map') }} as identity_map
    on tickets.source = identity_map.source and tickets.contact_id = identity_map.contact_id
left join (
    select
        product_id,
        min(product_name) as product_name,
        min(category) as category
    from {{ ref('products') }}
    group by product_id
) as products
    on tickets.product_id = products.product_id
left join {{ ref('int_orders__asked_about') }} as bought
    on
        tickets.order_id = bought.order_id
        and coalesce(identity_map.customer_id, '') = coalesce(bought.customer_id, '')
