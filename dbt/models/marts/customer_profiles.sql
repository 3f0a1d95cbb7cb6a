{{ config(tags=['profile']) }}

-- A customer may be written to on a channel when the primary contact point is valid and its
-- latest statement for the workspace's purpose grants it; absence of consent means no.
with permissions as (
    select
        points.customer_id,
        max(case when consents.channel = 'email' then 1 else 0 end) as email,
        max(case when consents.channel = 'sms' then 1 else 0 end) as sms,
        max(case when consents.channel = 'phone' then 1 else 0 end) as phone,
        max(case when consents.channel = 'post' then 1 else 0 end) as post
    from {{ ref('contact_points') }} as points
    inner join {{ ref('consents') }} as consents
        on
            points.customer_id = consents.customer_id
            and points.contact_point = consents.contact_point
            and points.channel
            = case when consents.channel = 'sms' then 'phone' else consents.channel end
    where
        points.is_primary
        and points.is_valid
        and consents.is_granted
        and consents.purpose = {{ text_literal(var('consent_purpose')) }}
    group by points.customer_id
),

lead_probabilities as (
    select
        leads.customer_id,
        max(scores.conversion_probability) as conversion_probability
    from {{ source('scores', 'lead_scores') }} as scores
    inner join {{ ref('leads') }} as leads
        on scores.source = leads.source and scores.lead_id = leads.lead_id
    where leads.customer_id is not null and scores.as_of = {{ as_of() }}
    group by leads.customer_id
)

select
    customers.customer_id,
    numbers.customer_number,
    customers.full_name,
    customers.first_name,
    customers.last_name,
    customers.email,
    customers.phone,
    customers.birth_date,
    cast({{ whole_years_between('customers.birth_date', as_of()) }} as {{ dbt.type_bigint() }})
        as age,
    customers.gender,
    customers.language,
    customers.company_name,
    customers.account_id,
    cast(accounts.industry as {{ dbt.type_string() }}) as account_industry,
    customers.postcode,
    customers.city,
    customers.region,
    cast(
        case
            when customers.country_code <> 'FR' or length(customers.postcode) <> 5 then null
            when customers.postcode like '97%' or customers.postcode like '98%'
                then substr(customers.postcode, 1, 3)
            when customers.postcode like '200%' or customers.postcode like '201%' then '2A'
            when customers.postcode like '20%' then '2B'
            else substr(customers.postcode, 1, 2)
        end as {{ dbt.type_string() }}
    ) as department_code,
    customers.country_code,
    customers.latitude,
    customers.longitude,
    customers.lifecycle_status,
    customers.is_internal,
    customers.records_count,
    customers.sources,
    customers.first_seen_at,
    customers.created_date,
    cast({{ days_between('customers.created_date', as_of()) }} as {{ dbt.type_bigint() }})
        as days_since_first_seen,
    features.as_of,
    features.first_order_date,
    features.last_order_date,
    features.days_since_first_order,
    features.days_since_last_order,
    features.lifetime_orders_count,
    features.lifetime_net_revenue,
    features.orders_count,
    features.net_revenue,
    features.orders_count_90d,
    features.net_revenue_90d,
    features.orders_count_365d,
    features.net_revenue_365d,
    features.average_order_value,
    features.returned_amount,
    features.categories_count,
    features.favourite_category,
    features.favourite_channel,
    features.mean_days_between_orders,
    features.emails_opened_90d,
    features.emails_clicked_90d,
    features.web_visits_90d,
    features.last_interaction_at,
    features.tickets_count_365d,
    features.last_nps_score,
    features.has_abandoned_cart_30d,
    rfm.recency_score,
    rfm.frequency_score,
    rfm.monetary_score,
    rfm.frequency_monetary_score,
    rfm.rfm_code,
    rfm.rfm_segment,
    rfm.party,
    coalesce(permissions.email, 0) = 1 and not customers.is_internal as is_contactable_email,
    coalesce(permissions.sms, 0) = 1 and not customers.is_internal as is_contactable_sms,
    coalesce(permissions.phone, 0) = 1 and not customers.is_internal as is_contactable_phone,
    coalesce(permissions.post, 0) = 1 and not customers.is_internal as is_contactable_post,
    cast(round(lead_probabilities.conversion_probability, 6) as {{ double_type() }})
        as lead_conversion_probability,
    cast(value_scores.expected_orders as {{ double_type() }}) as expected_orders,
    cast(value_scores.order_probability as {{ double_type() }}) as order_probability,
    cast(value_scores.lapse_probability as {{ double_type() }}) as lapse_probability,
    cast(round(value_scores.expected_value, 4) as {{ amount_type() }}) as expected_value,
    cast(next_orders.expected_date as date) as next_order_expected_date,
    cast(next_orders.latest_date as date) as next_order_latest_date,
    cast({{ days_between(as_of(), 'next_orders.expected_date') }} as {{ dbt.type_bigint() }})
        as days_until_next_order,
    cast(next_orders.category as {{ dbt.type_string() }}) as next_order_category,
    cast(clusters.cluster as {{ dbt.type_string() }}) as cluster
from {{ ref('customers') }} as customers
inner join {{ ref('customer_features') }} as features
    on customers.customer_id = features.customer_id
inner join {{ source('built', 'customer_numbers') }} as numbers
    on customers.customer_id = numbers.customer_id
inner join {{ ref('rfm') }} as rfm on customers.customer_id = rfm.customer_id
left join {{ ref('int_customers__golden_records') }} as golden
    on customers.customer_id = golden.customer_id
left join {{ ref('stg_contacts') }} as account_records
    on golden.account_record = account_records.belief_rank
left join {{ ref('accounts') }} as accounts
    on
        account_records.source = accounts.source
        and account_records.account_id = accounts.account_id
left join permissions on customers.customer_id = permissions.customer_id
left join lead_probabilities on customers.customer_id = lead_probabilities.customer_id
left join {{ source('scores', 'customer_scores') }} as value_scores
    on customers.customer_id = value_scores.customer_id and value_scores.as_of = {{ as_of() }}
left join {{ source('scores', 'next_orders') }} as next_orders
    on customers.customer_id = next_orders.customer_id and next_orders.as_of = {{ as_of() }}
left join {{ source('scores', 'customer_clusters') }} as clusters
    on customers.customer_id = clusters.customer_id
order by customers.customer_id
