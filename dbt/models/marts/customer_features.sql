{{ config(tags=['features'], meta={'by_customer': 'customer_id'}) }}

{%- set in_rfm_window = within('order_date', var('rfm_window_days')) -%}
{%- set in_90_days = within('interaction_date', 90) -%}
{%- set in_365_days = within('interaction_date', 365) %}

-- Nothing dated after as_of enters. Windows of n days hold the days after as_of - n up to as_of.
with bought as (
    select
        customer_id,
        min(case when is_order then order_date end) as first_order_date,
        max(case when is_order then order_date end) as last_order_date,
        sum(case when is_order then 1 else 0 end) as lifetime_orders_count,
        sum(reporting_net_amount) as lifetime_net_revenue,
        sum(case when is_order and {{ in_rfm_window }} then 1 else 0 end)
            as orders_count,
        sum(case when {{ in_rfm_window }} then reporting_net_amount end)
            as net_revenue,
        sum(case when is_order and {{ within('order_date', 90) }} then 1 else 0 end)
            as orders_count_90d,
        sum(case when {{ within('order_date', 90) }} then reporting_net_amount end)
            as net_revenue_90d,
        sum(case when is_order and {{ within('order_date', 365) }} then 1 else 0 end)
            as orders_count_365d,
        sum(case when {{ within('order_date', 365) }} then reporting_net_amount end)
            as net_revenue_365d,
        -sum(case when reporting_net_amount < 0 then reporting_net_amount end) as returned_amount
    from {{ ref('orders') }}
    where customer_id is not null and status <> 'cancelled' and order_date <= {{ as_of() }}
    group by customer_id
),

channels as (
    select customer_id, channel
    from (
        select
            customer_id,
            channel,
            row_number() over (
                partition by customer_id order by count(*) desc, channel asc
            ) as channel_rank
        from {{ ref('orders') }}
        where
            customer_id is not null
            and is_order
            and channel is not null
            and order_date <= {{ as_of() }}
        group by customer_id, channel
    ) as ranked
    where channel_rank = 1
),

category_purchases as (
    select
        customer_id,
        category,
        sum(quantity) as quantity
    from {{ ref('order_lines') }}
    where
        customer_id is not null
        and category is not null
        and status <> 'cancelled'
        and order_date <= {{ as_of() }}
    group by customer_id, category
    having sum(quantity) > 0
),

category_totals as (
    select
        customer_id,
        count(*) as categories_count,
        max(quantity) as most_quantity
    from category_purchases
    group by customer_id
),

categories as (
    select
        totals.customer_id,
        totals.categories_count,
        min(purchases.category) as category
    from category_totals as totals
    inner join category_purchases as purchases
        on
            totals.customer_id = purchases.customer_id
            and totals.most_quantity = purchases.quantity
    group by totals.customer_id, totals.categories_count
),

did as (
    select
        customer_id,
        sum(case when kind = 'email_opened' and {{ in_90_days }} then 1 else 0 end)
            as emails_opened_90d,
        sum(case when kind = 'email_clicked' and {{ in_90_days }} then 1 else 0 end)
            as emails_clicked_90d,
        sum(case when kind = 'web_visit' and {{ in_90_days }} then 1 else 0 end)
            as web_visits_90d,
        sum(case when kind = 'ticket' and {{ in_365_days }} then 1 else 0 end)
            as tickets_count_365d,
        max(occurred_at) as last_interaction_at
    from {{ ref('interactions') }}
    where customer_id is not null and interaction_date <= {{ as_of() }}
    group by customer_id
),

answers as (
    select customer_id, score
    from (
        select
            customer_id,
            score,
            row_number() over (
                partition by customer_id order by answered_at desc, score asc
            ) as answer_rank
        from {{ ref('surveys') }}
        where kind = 'nps' and customer_id is not null and answered_at < {{ as_of_end() }}
    ) as ranked
    where answer_rank = 1
),

-- A cart that became an order later was still abandoned on the day looked from.
abandoned as (
    select distinct carts.customer_id
    from {{ ref('carts') }} as carts
    left join {{ ref('orders') }} as orders
        on carts.source = orders.source and carts.order_id = orders.order_id
    where
        carts.customer_id is not null
        and {{ within(local_date('carts.created_at'), 30) }}
        and (carts.is_abandoned or orders.order_date > {{ as_of() }})
)

select
    cast(customers.customer_id as {{ dbt.type_string() }}) as customer_id,
    numbers.customer_number,
    {{ as_of() }} as as_of,
    cast(bought.first_order_date as date) as first_order_date,
    cast(bought.last_order_date as date) as last_order_date,
    cast({{ days_between('bought.first_order_date', as_of()) }} as {{ dbt.type_bigint() }})
        as days_since_first_order,
    cast({{ days_between('bought.last_order_date', as_of()) }} as {{ dbt.type_bigint() }})
        as days_since_last_order,
    cast(coalesce(bought.lifetime_orders_count, 0) as {{ dbt.type_bigint() }})
        as lifetime_orders_count,
    cast(coalesce(bought.lifetime_net_revenue, 0) as {{ amount_type() }}) as lifetime_net_revenue,
    cast(coalesce(bought.orders_count, 0) as {{ dbt.type_bigint() }}) as orders_count,
    cast(coalesce(bought.net_revenue, 0) as {{ amount_type() }}) as net_revenue,
    cast(coalesce(bought.orders_count_90d, 0) as {{ dbt.type_bigint() }}) as orders_count_90d,
    cast(coalesce(bought.net_revenue_90d, 0) as {{ amount_type() }}) as net_revenue_90d,
    cast(coalesce(bought.orders_count_365d, 0) as {{ dbt.type_bigint() }}) as orders_count_365d,
    cast(coalesce(bought.net_revenue_365d, 0) as {{ amount_type() }}) as net_revenue_365d,
    {{ ratio('bought.lifetime_net_revenue', 'bought.lifetime_orders_count') }}
        as average_order_value,
    cast(coalesce(bought.returned_amount, 0) as {{ amount_type() }}) as returned_amount,
    cast(coalesce(categories.categories_count, 0) as {{ dbt.type_bigint() }}) as categories_count,
    cast(categories.category as {{ dbt.type_string() }}) as favourite_category,
    cast(channels.channel as {{ dbt.type_string() }}) as favourite_channel,
    cast(
        round(
            cast(
                {{ days_between('bought.first_order_date', 'bought.last_order_date') }}
                as {{ double_type() }}
            ) / nullif(bought.lifetime_orders_count - 1, 0),
            4
        ) as {{ double_type() }}
    ) as mean_days_between_orders,
    cast(coalesce(did.emails_opened_90d, 0) as {{ dbt.type_bigint() }}) as emails_opened_90d,
    cast(coalesce(did.emails_clicked_90d, 0) as {{ dbt.type_bigint() }}) as emails_clicked_90d,
    cast(coalesce(did.web_visits_90d, 0) as {{ dbt.type_bigint() }}) as web_visits_90d,
    cast(did.last_interaction_at as {{ dbt.type_timestamp() }}) as last_interaction_at,
    cast(coalesce(did.tickets_count_365d, 0) as {{ dbt.type_bigint() }}) as tickets_count_365d,
    cast(answers.score as {{ dbt.type_bigint() }}) as last_nps_score,
    abandoned.customer_id is not null as has_abandoned_cart_30d
from {{ ref('customers') }} as customers
inner join {{ source('built', 'customer_numbers') }} as numbers
    on customers.customer_id = numbers.customer_id
left join bought on customers.customer_id = bought.customer_id
left join channels on customers.customer_id = channels.customer_id
left join categories on customers.customer_id = categories.customer_id
left join did on customers.customer_id = did.customer_id
left join answers on customers.customer_id = answers.customer_id
left join abandoned on customers.customer_id = abandoned.customer_id
