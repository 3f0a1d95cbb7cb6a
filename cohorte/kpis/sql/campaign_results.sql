-- One row per campaign that began in the period and whose cost is known: the margin of the orders
-- that name it, until as_of. Costs in another currency than the reports' are left out.
with margins as (
    select
        orders.campaign_id,
        sum(order_lines.margin_amount) as margin_amount
    from orders
    inner join order_lines
        on orders.source = order_lines.source and orders.order_id = order_lines.order_id
    left join customers on orders.customer_id = customers.customer_id
    where
        orders.campaign_id is not null
        and orders.status <> 'cancelled'
        and orders.order_date <= $as_of
        and not coalesce(customers.is_internal, false)
    group by orders.campaign_id
)

select
    cast(timezone($time_zone, timezone('UTC', campaigns.started_at)) as date) as day,
    campaigns.source,
    campaigns.campaign_id,
    campaigns.channel,
    campaigns.cost_amount,
    coalesce(margins.margin_amount, 0) as margin_amount
from campaigns
left join margins on campaigns.campaign_id = margins.campaign_id
where
    campaigns.cost_amount > 0
    and campaigns.currency_code is not distinct from (select currency from version_info)
