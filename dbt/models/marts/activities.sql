{{ config(tags=['features'], meta={'by_customer': 'customer_number'}) }}

-- What segments ask of: kept by kind, month, category and day, so that a question reads only its
-- own rows, and with the customer's number, so that an answer is a set of small integers. Gathered
-- before they are joined and sorted: in one go DuckDB holds more than its memory at a million
-- customers.
with events as materialized (
    select
        customer_id,
        'order' as kind,
        order_date as activity_date,
        ordered_at as occurred_at,
        source,
        order_id as record_id,
        channel,
        campaign_id,
        store as subject,
        cast(null as {{ dbt.type_string() }}) as category,
        cast(null as {{ dbt.type_string() }}) as product_id,
        cast(null as {{ dbt.type_string() }}) as product_name,
        reporting_net_amount as amount,
        cast(items_count as {{ amount_type() }}) as quantity,
        cast(null as {{ dbt.type_bigint() }}) as score
    from {{ ref('orders') }}
    where is_order
    union all
    select
        order_lines.customer_id,
        'purchase' as kind,
        order_lines.order_date as activity_date,
        orders.ordered_at as occurred_at,
        order_lines.source,
        order_lines.order_id || ':' || cast(order_lines.line_number as {{ dbt.type_string() }})
            as record_id,
        orders.channel,
        orders.campaign_id,
        orders.store as subject,
        order_lines.category,
        order_lines.product_id,
        order_lines.product_name,
        order_lines.reporting_net_amount as amount,
        order_lines.quantity,
        cast(null as {{ dbt.type_bigint() }}) as score
    from {{ ref('order_lines') }} as order_lines
    inner join {{ ref('orders') }} as orders
        on order_lines.source = orders.source and order_lines.order_id = orders.order_id
    where orders.is_order and order_lines.quantity > 0
    union all
    select
        customer_id,
        case when is_abandoned then 'cart_abandoned' else 'cart_ordered' end as kind,
        {{ local_date('created_at') }} as activity_date,
        created_at as occurred_at,
        source,
        cart_id as record_id,
        'web' as channel,
        cast(null as {{ dbt.type_string() }}) as campaign_id,
        cast(null as {{ dbt.type_string() }}) as subject,
        cast(null as {{ dbt.type_string() }}) as category,
        cast(null as {{ dbt.type_string() }}) as product_id,
        cast(null as {{ dbt.type_string() }}) as product_name,
        amount,
        cast(items_count as {{ amount_type() }}) as quantity,
        cast(null as {{ dbt.type_bigint() }}) as score
    from {{ ref('carts') }}
    union all
    select
        customer_id,
        'ticket' as kind,
        {{ local_date('opened_at') }} as activity_date,
        opened_at as occurred_at,
        source,
        ticket_id as record_id,
        channel,
        cast(null as {{ dbt.type_string() }}) as campaign_id,
        priority as subject,
        category,
        cast(null as {{ dbt.type_string() }}) as product_id,
        cast(null as {{ dbt.type_string() }}) as product_name,
        cast(null as {{ amount_type() }}) as amount,
        cast(null as {{ amount_type() }}) as quantity,
        cast(null as {{ dbt.type_bigint() }}) as score
    from {{ ref('tickets') }}
    union all
    select
        customer_id,
        'survey' as kind,
        {{ local_date('answered_at') }} as activity_date,
        answered_at as occurred_at,
        source,
        survey_id as record_id,
        'survey' as channel,
        cast(null as {{ dbt.type_string() }}) as campaign_id,
        cast(null as {{ dbt.type_string() }}) as subject,
        kind as category,
        cast(null as {{ dbt.type_string() }}) as product_id,
        cast(null as {{ dbt.type_string() }}) as product_name,
        cast(null as {{ amount_type() }}) as amount,
        cast(null as {{ amount_type() }}) as quantity,
        score
    from {{ ref('surveys') }}
    union all
    select
        customer_id,
        'opportunity_won' as kind,
        {{ local_date('closed_at') }} as activity_date,
        closed_at as occurred_at,
        source,
        opportunity_id as record_id,
        'sales' as channel,
        cast(null as {{ dbt.type_string() }}) as campaign_id,
        opportunity_name as subject,
        cast(null as {{ dbt.type_string() }}) as category,
        cast(null as {{ dbt.type_string() }}) as product_id,
        cast(null as {{ dbt.type_string() }}) as product_name,
        reporting_amount as amount,
        cast(null as {{ amount_type() }}) as quantity,
        cast(null as {{ dbt.type_bigint() }}) as score
    from {{ ref('opportunities') }}
    where is_won and closed_at is not null
    union all
    select
        customer_id,
        kind,
        interaction_date as activity_date,
        occurred_at,
        source,
        record_id,
        channel,
        campaign_id,
        subject,
        cast(null as {{ dbt.type_string() }}) as category,
        cast(null as {{ dbt.type_string() }}) as product_id,
        cast(null as {{ dbt.type_string() }}) as product_name,
        amount,
        cast(null as {{ amount_type() }}) as quantity,
        cast(null as {{ dbt.type_bigint() }}) as score
    from {{ ref('interactions') }}
    where kind not in ('order', 'cart', 'ticket', 'survey')
)

select
    numbers.customer_number,
    cast(events.kind as {{ dbt.type_string() }}) as kind,
    cast(events.activity_date as date) as activity_date,
    cast(events.occurred_at as {{ dbt.type_timestamp() }}) as occurred_at,
    cast(events.source as {{ dbt.type_string() }}) as source,
    cast(events.record_id as {{ dbt.type_string() }}) as record_id,
    cast(events.channel as {{ dbt.type_string() }}) as channel,
    cast(events.campaign_id as {{ dbt.type_string() }}) as campaign_id,
    cast(events.subject as {{ dbt.type_string() }}) as subject,
    cast(events.category as {{ dbt.type_string() }}) as category,
    cast(events.product_id as {{ dbt.type_string() }}) as product_id,
    cast(events.product_name as {{ dbt.type_string() }}) as product_name,
    cast(events.amount as {{ amount_type() }}) as amount,
    cast(events.quantity as {{ amount_type() }}) as quantity,
    cast(events.score as {{ dbt.type_bigint() }}) as score
from events
inner join {{ source('built', 'customer_numbers') }} as numbers
    on events.customer_id = numbers.customer_id
where events.activity_date is not null
order by
    events.kind,
    {{ dbt.date_trunc('month', 'events.activity_date') }},
    events.category,
    events.activity_date
