{{ config(tags=['unify'], meta={'by_customer': 'customer_id'}) }}

-- What a customer did, for the lifecycle status and the day first seen.
with events as (
    select
        customer_id,
        min(ordered_at) as first_at,
        max(case when is_order and order_date <= {{ as_of() }} then order_date end)
            as last_bought_date,
        0 as has_lead
    from {{ ref('orders') }}
    where customer_id is not null
    group by customer_id
    union all
    select
        customer_id,
        min(created_at) as first_at,
        cast(null as date) as last_bought_date,
        max(case when created_date <= {{ as_of() }} then 1 else 0 end) as has_lead
    from {{ ref('leads') }}
    where customer_id is not null
    group by customer_id
    union all
    select
        customer_id,
        min(created_at) as first_at,
        max(
            case
                when is_won and closed_at < {{ as_of_end() }} then {{ local_date('closed_at') }}
            end
        ) as last_bought_date,
        0 as has_lead
    from {{ ref('opportunities') }}
    where customer_id is not null
    group by customer_id
)

select
    customer_id,
    min(first_at) as first_at,
    max(last_bought_date) as last_bought_date,
    max(has_lead) = 1 as has_lead
from events
group by customer_id
