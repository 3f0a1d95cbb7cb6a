{{ config(tags=['profile']) }}

-- Each additive measure twice: from the accepted rows, found without the marts, and as
-- published. Amounts of orders, lines and payments are in the currency of the order.
with accepted_orders as (
    {{ accepted_versions(
        'orders',
        ['order_id'],
        ['order_id', 'status', 'net_amount', 'gross_amount', 'tax_amount', 'shipping_amount']
    ) }}
),

accepted_lines as (
    {{ accepted_versions(
        'order_lines',
        ['order_id', 'line_number'],
        ['order_id', 'quantity', 'unit_price', 'discount_amount', 'net_amount'],
        'line_number is not null'
    ) }}
    union all
    {{ accepted_deliveries(
        'order_lines',
        ['order_id', 'quantity', 'unit_price', 'discount_amount', 'net_amount'],
        'line_number is null'
    ) }}
),

accepted_payments as (
    {{ accepted_versions('payments', ['order_id', 'payment_number'], ['amount']) }}
),

-- Orders that state no net amount, and are not cancelled, are worth their lines, or else their
-- gross amount less tax and shipping.
unstated_orders as (
    select source, order_id
    from accepted_orders
    where net_amount is null and coalesce(lower(status), 'completed') <> 'cancelled'
    group by source, order_id
    having sum(weight) > 0
),

gross_orders as (
    select
        source,
        order_id,
        sum(
            (gross_amount - coalesce(tax_amount, 0) - coalesce(shipping_amount, 0)) * weight
        ) as amount
    from accepted_orders
    where
        net_amount is null
        and gross_amount is not null
        and coalesce(lower(status), 'completed') <> 'cancelled'
    group by source, order_id
    having sum(weight) > 0
),

gross_orders_with_lines as (
    select distinct gross_orders.source, gross_orders.order_id
    from gross_orders
    inner join accepted_lines as lines
        on gross_orders.source = lines.source and gross_orders.order_id = lines.order_id
),

net_amounts as (
    select source, net_amount * weight as amount
    from accepted_orders
    where net_amount is not null and coalesce(lower(status), 'completed') <> 'cancelled'
    union all
    select
        lines.source,
        cast(
            coalesce(lines.net_amount, {{ line_amount() }}) as {{ amount_type() }}
        ) * lines.weight as amount
    from accepted_lines as lines
    inner join unstated_orders as orders
        on lines.source = orders.source and lines.order_id = orders.order_id
    union all
    select gross_orders.source, gross_orders.amount
    from gross_orders
    left join gross_orders_with_lines as lines
        on gross_orders.source = lines.source and gross_orders.order_id = lines.order_id
    where lines.order_id is null
),

accepted as (
    select source, 'orders' as measure, sum(weight) as amount from accepted_orders
    group by source
    union all
    select source, 'net_amount' as measure, sum(amount) as amount from net_amounts
    group by source
    union all
    select source, 'order_lines' as measure, sum(weight) as amount from accepted_lines
    group by source
    union all
    select source, 'lines_quantity' as measure, sum(quantity * weight) as amount
    from accepted_lines
    group by source
    union all
    select
        source,
        'lines_net_amount' as measure,
        sum(
            cast(coalesce(net_amount, {{ line_amount() }}) as {{ amount_type() }}) * weight
        ) as amount
    from accepted_lines
    group by source
    union all
    select source, 'payments_amount' as measure, sum(amount * weight) as amount
    from accepted_payments
    group by source
    {%- for entity, key in {
        'contacts': ['contact_id'],
        'leads': ['lead_id'],
        'opportunities': ['opportunity_id'],
        'tickets': ['ticket_id'],
        'surveys': ['survey_id'],
    }.items() %}
    union all
    select source, '{{ entity }}' as measure, sum(weight) as amount
    from (
        {{ accepted_versions(entity, key, key) }}
    ) as {{ entity }}
    group by source
    {%- endfor %}
    union all
    select source, 'email_events' as measure, sum(weight) as amount
    from (
        {{ accepted_deliveries('email_events', ['kind']) }}
    ) as email_events
    group by source
),

published as (
    select
        source,
        count(*) as orders,
        sum(case when status <> 'cancelled' then net_amount else 0 end) as net_amount
    from {{ ref('orders') }}
    group by source
),

published_lines as (
    select
        source,
        count(*) as order_lines,
        sum(quantity) as lines_quantity,
        sum(net_amount) as lines_net_amount
    from {{ ref('order_lines') }}
    group by source
),

published_measures as (
    select source, 'orders' as measure, orders as amount from published
    union all
    select source, 'net_amount' as measure, net_amount as amount from published
    union all
    select source, 'order_lines' as measure, order_lines as amount from published_lines
    union all
    select source, 'lines_quantity' as measure, lines_quantity as amount from published_lines
    union all
    select source, 'lines_net_amount' as measure, lines_net_amount as amount
    from published_lines
    union all
    select source, 'payments_amount' as measure, sum(amount) as amount
    from {{ ref('payments') }}
    group by source
    union all
    select source, 'contacts' as measure, count(*) as amount
    from {{ ref('identities') }}
    group by source
    {%- for mart in ['leads', 'opportunities', 'tickets', 'surveys'] %}
    union all
    select source, '{{ mart }}' as measure, count(*) as amount
    from {{ ref(mart) }}
    group by source
    {%- endfor %}
    union all
    select source, 'email_events' as measure, count(*) as amount
    from (
        select source
        from {{ ref('interactions') }}
        where kind like 'email\_%' escape '\'
        union all
        select source
        from {{ ref('int_email_events__identified') }}
        where kind = 'email_held_out'
    ) as email_events
    group by source
)

select
    cast(coalesce(accepted.source, published_measures.source) as {{ dbt.type_string() }})
        as source,
    cast(coalesce(accepted.measure, published_measures.measure) as {{ dbt.type_string() }})
        as measure,
    cast(coalesce(accepted.amount, 0) as decimal(38, 4)) as source_value,
    cast(coalesce(published_measures.amount, 0) as decimal(38, 4)) as published_value,
    cast(
        coalesce(published_measures.amount, 0) - coalesce(accepted.amount, 0) as decimal(38, 4)
    ) as difference
from accepted
full outer join published_measures
    on
        accepted.source = published_measures.source
        and accepted.measure = published_measures.measure
