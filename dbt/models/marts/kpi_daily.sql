{{ config(tags=['profile']) }}

-- Additive KPIs by day and source. Internal customers are left out; nothing after as_of enters.
-- Revenue, orders and items are dated by the order.
with sales as (
    select
        order_date as kpi_date,
        source,
        customer_id,
        reporting_net_amount as net_revenue,
        case when is_order then 1 else 0 end as orders,
        items_count as items_sold,
        case when is_first_order then 1 else 0 end as new_customers,
        case when reporting_net_amount < 0 then -reporting_net_amount else 0 end
            as returned_amount
    from {{ ref('orders') }}
    where status <> 'cancelled'
),

daily_sales as (
    select
        sales.kpi_date,
        sales.source,
        sum(sales.net_revenue) as net_revenue,
        sum(sales.orders) as orders,
        sum(sales.items_sold) as items_sold,
        sum(sales.new_customers) as new_customers,
        sum(sales.returned_amount) as returned_amount
    from sales
    left join {{ ref('int_customers__internal') }} as internal
        on sales.customer_id = internal.customer_id
    where internal.customer_id is null
    group by sales.kpi_date, sales.source
),

events as (
    select
        interaction_date as kpi_date,
        kind,
        source,
        customer_id
    from {{ ref('int_interactions__events') }}
    where kind in ('email_sent', 'email_opened', 'email_clicked', 'web_visit', 'ticket', 'lead')
    union all
    select
        {{ local_date('converted_at') }} as kpi_date,
        'converted' as kind,
        source,
        customer_id
    from {{ ref('leads') }}
    where is_converted
    union all
    select
        {{ local_date('closed_at') }} as kpi_date,
        'won' as kind,
        source,
        customer_id
    from {{ ref('opportunities') }}
    where is_won
),

daily_events as (
    select
        events.kpi_date,
        events.kind,
        events.source,
        count(*) as events_count
    from events
    left join {{ ref('int_customers__internal') }} as internal
        on events.customer_id = internal.customer_id
    where internal.customer_id is null
    group by events.kpi_date, events.kind, events.source
),

daily_values as (
    {%- for kpi in ['net_revenue', 'orders', 'items_sold', 'new_customers', 'returned_amount'] %}
    select kpi_date, '{{ kpi }}' as kpi_id, source, {{ kpi }} as kpi_value
    from daily_sales
    where {{ kpi }} <> 0
    union all
    {%- endfor %}
    select
        kpi_date,
        case kind
            when 'email_sent' then 'emails_sent'
            when 'email_opened' then 'emails_opened'
            when 'email_clicked' then 'emails_clicked'
            when 'web_visit' then 'web_visits'
            when 'ticket' then 'tickets_opened'
            when 'lead' then 'leads_created'
            when 'converted' then 'leads_converted'
            when 'won' then 'opportunities_won'
        end as kpi_id,
        source,
        events_count as kpi_value
    from daily_events
)

select
    cast(kpi_date as date) as kpi_date,
    cast(kpi_id as {{ dbt.type_string() }}) as kpi_id,
    cast(source as {{ dbt.type_string() }}) as source,
    cast(kpi_value as decimal(38, 4)) as value
from daily_values
where kpi_date <= {{ as_of() }}
