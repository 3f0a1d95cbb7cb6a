{{ config(tags=['profile']) }}

-- What the first order held, and who of its buyers ordered again within half a year of it. Buyers
-- whose half year is not over are left out.
with firsts as (
    select
        orders.source,
        orders.order_id,
        days.customer_id,
        days.order_date,
        days.next_date
    from {{ ref('int_orders__days') }} as days
    inner join {{ ref('orders') }} as orders
        on days.customer_id = orders.customer_id and orders.is_first_order
    where
        days.previous_date is null
        and days.order_date <= {{ days_before(182, as_of()) }}
),

bought as (
    select
        firsts.customer_id,
        lines.source,
        coalesce(lines.product_id, lines.product_name) as product_id,
        max(lines.product_name) as product_name,
        max(lines.category) as category,
        max(
            case
                when {{ days_between('firsts.order_date', 'firsts.next_date') }} <= 182 then 1
                else 0
            end
        ) as has_returned
    from firsts
    inner join {{ ref('order_lines') }} as lines
        on firsts.source = lines.source and firsts.order_id = lines.order_id
    where coalesce(lines.product_id, lines.product_name) is not null and lines.quantity > 0
    group by firsts.customer_id, lines.source, coalesce(lines.product_id, lines.product_name)
)

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(product_id as {{ dbt.type_string() }}) as product_id,
    cast(max(product_name) as {{ dbt.type_string() }}) as product_name,
    cast(max(category) as {{ dbt.type_string() }}) as category,
    cast(count(*) as {{ dbt.type_bigint() }}) as first_buyers_count,
    cast(sum(has_returned) as {{ dbt.type_bigint() }}) as returned_count
from bought
group by source, product_id
