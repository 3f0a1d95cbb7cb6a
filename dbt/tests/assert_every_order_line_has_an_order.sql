{{ config(tags=['unify'], severity='warn') }}

select source, order_id, line_number
from {{ ref('order_lines') }}
where order_date is null
