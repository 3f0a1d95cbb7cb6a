-- One row per opportunity, dated by its creation, with what became of it until as_of.
select
    cast(timezone($time_zone, timezone('UTC', opportunities.created_at)) as date) as day,
    opportunities.source,
    opportunities.owner,
    opportunities.team,
    opportunities.opportunity_id,
    opportunities.opportunity_name,
    opportunities.customer_id,
    opportunities.reporting_amount,
    case when opportunities.closed_at < $known_at then opportunities.is_won end as is_won
from opportunities
left join customers on opportunities.customer_id = customers.customer_id
where opportunities.created_at is not null and not coalesce(customers.is_internal, false)
