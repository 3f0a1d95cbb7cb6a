{{ config(tags=['unify']) }}

-- Tests and the company's own people, whom KPIs leave out.
select customer_id
from {{ ref('customers') }}
where is_internal
