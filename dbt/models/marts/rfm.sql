{{ config(tags=['features']) }}

-- Scores are computed on a histogram of distinct values, joined back to the customers.
with customers as (
    select
        features.customer_id,
        features.as_of,
        features.days_since_last_order,
        features.orders_count,
        features.net_revenue,
        case when golden.is_business then 'business' else 'consumer' end as party
    from {{ ref('customer_features') }} as features
    left join {{ ref('int_customers__golden_records') }} as golden
        on features.customer_id = golden.customer_id
),

buyers as (
    select * from customers
    where days_since_last_order is not null
),

recency_histogram as (
    select
        party,
        days_since_last_order,
        count(*) as customers_tied,
        sum(count(*)) over (partition by party order by days_since_last_order desc) - count(*)
            as customers_below,
        sum(count(*)) over (partition by party) as customers_total
    from buyers
    group by party, days_since_last_order
),

-- At most one order in the window is F = 1; the others are cut in quartiles.
frequency_histogram as (
    select
        party,
        orders_count,
        count(*) as customers_tied,
        sum(count(*)) over (partition by party order by orders_count) - count(*)
            as customers_below,
        sum(count(*)) over (partition by party) as customers_total
    from buyers
    where orders_count > 1
    group by party, orders_count
),

monetary_histogram as (
    select
        party,
        net_revenue,
        count(*) as customers_tied,
        sum(count(*)) over (partition by party order by net_revenue) - count(*)
            as customers_below,
        sum(count(*)) over (partition by party) as customers_total
    from buyers
    group by party, net_revenue
),

scored as (
    select
        buyers.customer_id,
        {{ mid_rank_score(
            'recency.customers_below', 'recency.customers_tied', 'recency.customers_total', 5, 1
        ) }} as recency_score,
        case
            when buyers.orders_count <= 1 then 1
            else {{ mid_rank_score(
                'frequency.customers_below',
                'frequency.customers_tied',
                'frequency.customers_total',
                4,
                2
            ) }}
        end as frequency_score,
        {{ mid_rank_score(
            'monetary.customers_below', 'monetary.customers_tied', 'monetary.customers_total', 5, 1
        ) }} as monetary_score
    from buyers
    left join recency_histogram as recency
        on
            buyers.party = recency.party
            and buyers.days_since_last_order = recency.days_since_last_order
    left join frequency_histogram as frequency
        on buyers.party = frequency.party and buyers.orders_count = frequency.orders_count
    left join monetary_histogram as monetary
        on buyers.party = monetary.party and buyers.net_revenue = monetary.net_revenue
),

combined as (
    select
        *,
        cast(floor((frequency_score + monetary_score + 1) / 2.0) as {{ dbt.type_int() }})
            as frequency_monetary_score
    from scored
)

select
    cast(customers.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(customers.as_of as date) as as_of,
    cast(customers.days_since_last_order as {{ dbt.type_bigint() }}) as days_since_last_order,
    cast(customers.orders_count as {{ dbt.type_bigint() }}) as orders_count,
    cast(customers.net_revenue as {{ amount_type() }}) as net_revenue,
    cast(combined.recency_score as {{ dbt.type_int() }}) as recency_score,
    cast(combined.frequency_score as {{ dbt.type_int() }}) as frequency_score,
    cast(combined.monetary_score as {{ dbt.type_int() }}) as monetary_score,
    cast(combined.frequency_monetary_score as {{ dbt.type_int() }}) as frequency_monetary_score,
    cast(
        combined.recency_score * 100 + combined.frequency_score * 10 + combined.monetary_score
        as {{ dbt.type_string() }}
    ) as rfm_code,
    cast(coalesce(cells.rfm_segment, 'prospect') as {{ dbt.type_string() }}) as rfm_segment,
    cast(customers.party as {{ dbt.type_string() }}) as party
from customers
left join combined on customers.customer_id = combined.customer_id
left join {{ ref('rfm_segments') }} as cells
    on
        combined.recency_score = cells.recency_score
        and combined.frequency_monetary_score = cells.frequency_monetary_score
