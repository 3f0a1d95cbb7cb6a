-- One row per customer who bought before the end of the period: margin and revenue to date.
with bought as (
    select
        order_lines.customer_id,
        sum(order_lines.margin_amount) as margin_amount,
        sum(case when order_lines.margin_amount is not null then order_lines.reporting_net_amount end)
            as costed_amount,
        sum(order_lines.reporting_net_amount) as net_amount
    from order_lines
    where
        order_lines.order_date < $end
        and order_lines.customer_id is not null
        and order_lines.status <> 'cancelled'
    group by order_lines.customer_id
)

select
    profiles.country_code,
    profiles.region,
    profiles.party,
    profiles.rfm_segment,
    bought.customer_id,
    bought.margin_amount,
    bought.costed_amount,
    bought.net_amount
from bought
inner join customer_profiles as profiles on bought.customer_id = profiles.customer_id
where not coalesce(profiles.is_internal, false)
