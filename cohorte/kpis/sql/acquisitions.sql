-- One row per campaign under way in the period, with the part of its cost that its days in the
-- period bear, and one per customer won. Costs in another currency than the reports' are left out.
select
    campaigns.source,
    campaigns.campaign_id,
    cast(null as varchar) as customer_id,
    campaigns.cost_amount
    * (
        least(date_diff('day', cast(campaigns.started_at as date), $end),
            date_diff('day', cast(campaigns.started_at as date),
                cast(coalesce(campaigns.ended_at, campaigns.started_at) as date)) + 1)
        - greatest(date_diff('day', cast(campaigns.started_at as date), $start), 0)
    )
    / (
        date_diff('day', cast(campaigns.started_at as date),
            cast(coalesce(campaigns.ended_at, campaigns.started_at) as date)) + 1
    ) as spend_amount,
    false as is_new
from campaigns
where
    campaigns.cost_amount is not null
    and campaigns.currency_code is not distinct from (select currency from version_info)
    and cast(campaigns.started_at as date) < $end
    and cast(coalesce(campaigns.ended_at, campaigns.started_at) as date) >= $start
union all
select
    orders.source,
    cast(null as varchar) as campaign_id,
    orders.customer_id,
    null as spend_amount,
    true as is_new
from orders
left join customers on orders.customer_id = customers.customer_id
where
    orders.is_first_order
    and orders.order_date >= $start
    and orders.order_date < $end
    and not coalesce(customers.is_internal, false)
