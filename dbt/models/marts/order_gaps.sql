{{ config(tags=['profile']) }}

select
    cast({{ days_between('order_date', 'next_date') }} as {{ dbt.type_bigint() }}) as days_between,
    cast(count(*) as {{ dbt.type_bigint() }}) as gaps_count,
    cast(sum(case when previous_date is null then 1 else 0 end) as {{ dbt.type_bigint() }})
        as first_gaps_count
from {{ ref('int_orders__days') }}
where next_date is not null
group by 1
