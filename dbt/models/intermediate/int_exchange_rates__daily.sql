{{ config(tags=['unify']) }}

-- One row per day and foreign currency that a record needs: the rate that held that day.
with needed as (
    select currency_code, order_date as rate_date from {{ ref('int_orders__identified') }}
    where currency_code <> '{{ var("currency") }}'
    union
    select currency_code, {{ local_date('created_at') }} as rate_date from {{ ref('stg_carts') }}
    where currency_code <> '{{ var("currency") }}'
    union
    select currency_code, {{ local_date('created_at') }} as rate_date
    from {{ ref('stg_opportunities') }}
    where currency_code <> '{{ var("currency") }}'
)

select
    needed.currency_code,
    needed.rate_date,
    {{ value_at_greatest('rates.rate', 'rates.rate_date') }} as rate
from needed
inner join {{ ref('stg_exchange_rates') }} as rates
    on needed.currency_code = rates.currency_code and needed.rate_date >= rates.rate_date
group by needed.currency_code, needed.rate_date
