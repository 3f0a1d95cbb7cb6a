-- One row per customer who had ordered before the period: their RFM segment of the day before it,
-- by the rules of the mart rfm. The score of a value is by the share of customers below it, plus
-- half of those who share it.
with bought as (
    select
        orders.customer_id,
        max(case when orders.is_order then orders.order_date end) as last_order_date,
        count(
            case
                when
                    orders.is_order
                    and orders.order_date >= $start - cast($rfm_days as integer)
                    then 1
            end
        ) as orders_count,
        coalesce(
            sum(
                case
                    when orders.order_date >= $start - cast($rfm_days as integer)
                        then orders.reporting_net_amount
                end
            ),
            0
        ) as net_revenue
    from orders
    where
        orders.customer_id is not null
        and orders.status <> 'cancelled'
        and orders.order_date < $start
    group by orders.customer_id
),

buyers as (
    select
        bought.customer_id,
        bought.last_order_date,
        bought.orders_count,
        bought.net_revenue,
        coalesce(profiles.party, 'consumer') as party
    from bought
    left join customer_profiles as profiles on bought.customer_id = profiles.customer_id
    where bought.last_order_date is not null
),

recency as (
    select
        buyers.party,
        buyers.last_order_date,
        2 * sum(count(*)) over (partition by buyers.party order by buyers.last_order_date)
        - count(*) as twice_place,
        2.0 * sum(count(*)) over (partition by buyers.party) as twice_customers
    from buyers
    group by buyers.party, buyers.last_order_date
),

frequency as (
    select
        buyers.party,
        buyers.orders_count,
        2 * sum(count(*)) over (partition by buyers.party order by buyers.orders_count)
        - count(*) as twice_place,
        2.0 * sum(count(*)) over (partition by buyers.party) as twice_customers
    from buyers
    where buyers.orders_count > 1
    group by buyers.party, buyers.orders_count
),

monetary as (
    select
        buyers.party,
        buyers.net_revenue,
        2 * sum(count(*)) over (partition by buyers.party order by buyers.net_revenue)
        - count(*) as twice_place,
        2.0 * sum(count(*)) over (partition by buyers.party) as twice_customers
    from buyers
    group by buyers.party, buyers.net_revenue
),

scored as (
    select
        buyers.customer_id,
        least(5, 1 + floor((5 * recency.twice_place) / recency.twice_customers)) as recency_score,
        case
            when buyers.orders_count <= 1 then 1
            else least(5, 2 + floor((4 * frequency.twice_place) / frequency.twice_customers))
        end as frequency_score,
        least(5, 1 + floor((5 * monetary.twice_place) / monetary.twice_customers))
            as monetary_score
    from buyers
    inner join recency
        on
            buyers.party = recency.party
            and buyers.last_order_date = recency.last_order_date
    left join frequency
        on buyers.party = frequency.party and buyers.orders_count = frequency.orders_count
    inner join monetary
        on buyers.party = monetary.party and buyers.net_revenue = monetary.net_revenue
)

select
    scored.customer_id,
    cells.rfm_segment
from scored
inner join rfm_segments as cells
    on
        scored.recency_score = cells.recency_score
        and floor((scored.frequency_score + scored.monetary_score + 1) / 2.0)
        = cells.frequency_monetary_score
