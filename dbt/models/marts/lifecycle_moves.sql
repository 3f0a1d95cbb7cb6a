{{ config(tags=['profile']) }}

-- The state of every buyer at five moments, a quarter apart, the last being as_of.
with moments as (
    {%- for step in range(5) %}
    select
        {{ step }} as step,
        {{ months_before(3 * (4 - step), as_of()) }} as moment_date,
        {{ months_before(3 * (5 - step), as_of()) }} as begin_date
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

states as (
    select
        moments.step,
        moments.moment_date,
        days.customer_id,
        case
            when days.first_date > moments.begin_date then 'new'
            when
                days.order_date > moments.begin_date
                and {{ days_between('days.previous_date', 'days.order_date') }}
                > {{ var('lapse_days') }}
                then 'won_back'
            when
                {{ days_between('days.order_date', 'moments.moment_date') }} * 2
                <= {{ var('lapse_days') }}
                then 'active'
            when
                {{ days_between('days.order_date', 'moments.moment_date') }}
                < {{ var('lapse_days') }}
                then 'at_risk'
            else 'lapsed'
        end as state
    from moments
    inner join {{ ref('int_orders__days') }} as days
        on
            moments.moment_date >= days.order_date
            and (days.next_date is null or moments.moment_date < days.next_date)
)

select
    cast(later.moment_date as date) as moment_date,
    cast(coalesce(earlier.state, 'not_yet') as {{ dbt.type_string() }}) as state_before,
    cast(later.state as {{ dbt.type_string() }}) as state_after,
    cast(count(*) as {{ dbt.type_bigint() }}) as customers_count
from states as later
left join states as earlier
    on later.customer_id = earlier.customer_id and later.step = earlier.step + 1
where later.step > 0
group by later.moment_date, coalesce(earlier.state, 'not_yet'), later.state
