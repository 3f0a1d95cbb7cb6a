{{ config(tags=['profile']) }}

-- Products go by the source and its id; lines of a product without an id by their name.
with lines as (
    select
        order_lines.source,
        coalesce(order_lines.product_id, order_lines.product_name) as product_id,
        {{ month_of('order_lines.order_date') }} as month,
        order_lines.order_id,
        order_lines.customer_id,
        order_lines.product_name,
        order_lines.category,
        order_lines.quantity,
        order_lines.reporting_net_amount,
        order_lines.margin_amount
    from {{ ref('order_lines') }} as order_lines
    left join {{ ref('int_customers__internal') }} as internal
        on order_lines.customer_id = internal.customer_id
    where
        order_lines.status <> 'cancelled'
        and order_lines.order_date <= {{ as_of() }}
        and internal.customer_id is null
        and coalesce(order_lines.product_id, order_lines.product_name) is not null
)

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(product_id as {{ dbt.type_string() }}) as product_id,
    cast(month as date) as month,
    cast(max(product_name) as {{ dbt.type_string() }}) as product_name,
    cast(max(category) as {{ dbt.type_string() }}) as category,
    cast(sum(quantity) as {{ amount_type() }}) as quantity,
    cast(sum(reporting_net_amount) as {{ amount_type() }}) as net_revenue,
    cast(sum(margin_amount) as {{ amount_type() }}) as margin_amount,
    cast(
        sum(case when reporting_net_amount < 0 then -reporting_net_amount else 0 end)
        as {{ amount_type() }}
    ) as returned_amount
from lines
group by source, product_id, month
