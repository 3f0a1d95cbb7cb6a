{{ config(tags=['profile']) }}

-- Additive KPIs by day and source. Internal customers are left out; nothing after as_of enters.
-- Revenue, orders and items are dated by the order.
with sales as (
    select
        orders.order_date,
        orders.source,
        sum(orders.reporting_net_amount) as net_revenue,
        sum(case when orders.is_order then 1 else 0 end) as orders,
        sum(orders.items_count) as items_sold,
        sum(case when orders.is_first_order then 1 else 0 end) as new_customers,
        -sum(case when orders.reporting_net_amount < 0 then orders.reporting_net_amount else 0 end)
            as returned_amount
    from {{ ref('orders') }} as orders
    left join {{ ref('int_customers__internal') }} as internal
        on orders.customer_id = internal.customer_id
    where
        orders.status <> 'cancelled'
        and orders.order_date <= {{ as_of() }}
        and internal.customer_id is null
    group by orders.order_date, orders.source
),

values_by_day as (
    {%- for kpi in ['net_revenue', 'orders', 'items_sold', 'new_customers', 'returned_amount'] %}
    select order_date as kpi_date, '{{ kpi }}' as kpi_id, source, {{ kpi }} as value
    from sales
    where {{ kpi }} <> 0
    union all
    {%- endfor %}
    select leads.created_date, 'leads_created' as kpi_id, leads.source, count(*) as value
    from {{ ref('leads') }} as leads
    left join {{ ref('int_customers__internal') }} as internal
        on leads.customer_id = internal.customer_id
    where leads.created_date <= {{ as_of() }} and internal.customer_id is null
    group by leads.created_date, leads.source
    union all
    select
        {{ local_date('leads.converted_at') }} as kpi_date,
        'leads_converted' as kpi_id,
        leads.source,
        count(*) as value
    from {{ ref('leads') }} as leads
    left join {{ ref('int_customers__internal') }} as internal
        on leads.customer_id = internal.customer_id
    where
        leads.is_converted
        and leads.converted_at < {{ as_of_end() }}
        and internal.customer_id is null
    group by 1, 3
    union all
    select
        {{ local_date('opportunities.closed_at') }} as kpi_date,
        'opportunities_won' as kpi_id,
        opportunities.source,
        count(*) as value
    from {{ ref('opportunities') }} as opportunities
    left join {{ ref('int_customers__internal') }} as internal
        on opportunities.customer_id = internal.customer_id
    where
        opportunities.is_won
        and opportunities.closed_at < {{ as_of_end() }}
        and internal.customer_id is null
    group by 1, 3
    union all
    select
        {{ local_date('tickets.opened_at') }} as kpi_date,
        'tickets_opened' as kpi_id,
        tickets.source,
        count(*) as value
    from {{ ref('tickets') }} as tickets
    left join {{ ref('int_customers__internal') }} as internal
        on tickets.customer_id = internal.customer_id
    where tickets.opened_at < {{ as_of_end() }} and internal.customer_id is null
    group by 1, 3
    union all
    select
        interactions.interaction_date as kpi_date,
        case interactions.kind
            when 'email_sent' then 'emails_sent'
            when 'email_opened' then 'emails_opened'
            when 'email_clicked' then 'emails_clicked'
            when 'web_visit' then 'web_visits'
        end as kpi_id,
        interactions.source,
        count(*) as value
    from {{ ref('int_interactions__events') }} as interactions
    left join {{ ref('int_customers__internal') }} as internal
        on interactions.customer_id = internal.customer_id
    where
        interactions.kind in ('email_sent', 'email_opened', 'email_clicked', 'web_visit')
        and interactions.interaction_date <= {{ as_of() }}
        and internal.customer_id is null
    group by 1, 2, 3
)

select
    cast(kpi_date as date) as kpi_date,
    cast(kpi_id as {{ dbt.type_string() }}) as kpi_id,
    cast(source as {{ dbt.type_string() }}) as source,
    cast(value as decimal(38, 4)) as value
from values_by_day
