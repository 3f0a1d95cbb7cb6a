{{ config(tags=['profile']) }}

-- Products bought in the same order within the last year, of the 300 sold most often. lift: how
-- many times more often together than if they were bought independently.
with baskets as (
    select distinct
        order_lines.source,
        order_lines.order_id,
        coalesce(order_lines.product_id, order_lines.product_name) as product_id
    from {{ ref('order_lines') }} as order_lines
    where
        order_lines.status not in ('cancelled', 'returned')
        and order_lines.quantity > 0
        and {{ within('order_lines.order_date', 365) }}
        and coalesce(order_lines.product_id, order_lines.product_name) is not null
),

totals as (
    select source, count(distinct order_id) as orders_count
    from baskets
    group by source
),

products as (
    select
        source,
        product_id,
        count(*) as orders_count,
        row_number() over (order by count(*) desc, source asc, product_id asc) as place
    from baskets
    group by source, product_id
),

kept as (
    select
        baskets.source,
        baskets.order_id,
        baskets.product_id,
        products.orders_count
    from baskets
    inner join products
        on baskets.source = products.source and baskets.product_id = products.product_id
    where products.place <= 300
),

pairs as (
    select
        one.source,
        one.product_id,
        other.product_id as other_product_id,
        max(one.orders_count) as product_orders_count,
        max(other.orders_count) as other_orders_count,
        count(*) as orders_count
    from kept as one
    inner join kept as other
        on
            one.source = other.source
            and one.order_id = other.order_id
            and one.product_id < other.product_id
    group by one.source, one.product_id, other.product_id
)

select
    cast(pairs.source as {{ dbt.type_string() }}) as source,
    cast(pairs.product_id as {{ dbt.type_string() }}) as product_id,
    cast(pairs.other_product_id as {{ dbt.type_string() }}) as other_product_id,
    cast(pairs.orders_count as {{ dbt.type_bigint() }}) as orders_count,
    cast(pairs.product_orders_count as {{ dbt.type_bigint() }}) as product_orders_count,
    cast(pairs.other_orders_count as {{ dbt.type_bigint() }}) as other_orders_count,
    cast(
        round(
            cast(pairs.orders_count as double) * totals.orders_count
            / (cast(pairs.product_orders_count as double) * pairs.other_orders_count),
            4
        ) as {{ double_type() }}
    ) as lift
from pairs
inner join totals on pairs.source = totals.source
where pairs.orders_count >= 5
