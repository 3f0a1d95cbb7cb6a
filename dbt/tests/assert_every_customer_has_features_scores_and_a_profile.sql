{{ config(tags=['profile']) }}

select customers.customer_id
from {{ ref('customers') }} as customers
left join {{ ref('customer_profiles') }} as profiles
    on customers.customer_id = profiles.customer_id
where profiles.rfm_segment is null or profiles.lifetime_orders_count is null
