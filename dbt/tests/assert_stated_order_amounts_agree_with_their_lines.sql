{{ config(tags=['unify'], severity='warn') }}

-- A source that states both may round, so a cent a line is allowed.
select source, order_id, net_amount, lines_net_amount
from {{ ref('orders') }}
where abs(net_amount - lines_net_amount) > 0.01 * lines_count
