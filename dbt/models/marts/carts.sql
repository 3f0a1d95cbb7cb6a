{{ config(tags=['unify'], meta={'by_customer': 'source, cart_id'}) }}

with carts as (
    select *, {{ local_date('created_at') }} as created_date
    from {{ ref('stg_carts') }}
)

select
    cast(carts.source as {{ dbt.type_string() }}) as source,
    cast(carts.cart_id as {{ dbt.type_string() }}) as cart_id,
    cast(identity_map.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(carts.created_at as {{ dbt.type_timestamp() }}) as created_at,
    cast(
        {{ in_reporting_currency('carts.amount', 'carts.currency_code', 'rates.rate') }}
        as {{ amount_type() }}
    ) as amount,
    cast(carts.items_count as {{ dbt.type_bigint() }}) as items_count,
    carts.order_id is null as is_abandoned,
    cast(carts.order_id as {{ dbt.type_string() }}) as order_id
from carts
left join {{ source('identity', 'identity_map') }} as identity_map
    on carts.source = identity_map.source and carts.contact_id = identity_map.contact_id
left join {{ ref('int_exchange_rates__daily') }} as rates
    on carts.currency_code = rates.currency_code and carts.created_date = rates.rate_date
