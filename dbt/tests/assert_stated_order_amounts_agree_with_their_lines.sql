{{ config(tags=['unify'], severity='warn') }}

-- A source that states both may round, so a cent a line is allowed.
with line_totals as (
    select source, order_id, sum(net_amount) as net_amount, count(*) as lines_count
    from {{ ref('order_lines') }}
    group by source, order_id
)

select orders.source, orders.order_id, orders.net_amount, line_totals.net_amount as lines_net_amount
from {{ ref('int_orders__identified') }} as orders
inner join line_totals
    on orders.source = line_totals.source and orders.order_id = line_totals.order_id
where abs(orders.net_amount - line_totals.net_amount) > 0.01 * line_totals.lines_count
