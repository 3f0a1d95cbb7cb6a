{{ config(tags=['unify']) }}

select customers.customer_id, points.channel
from {{ ref('customers') }} as customers
inner join {{ ref('contact_points') }} as points
    on customers.customer_id = points.customer_id
where
    points.is_primary
    and points.is_valid
    and points.contact_point <> case points.channel
        when 'email' then coalesce(customers.email, '')
        when 'phone' then coalesce(customers.phone, '')
        else points.contact_point
    end
