-- One row per opportunity won or lost, dated by its closing.
select
    cast(timezone($time_zone, timezone('UTC', opportunities.closed_at)) as date) as day,
    opportunities.source,
    opportunities.owner,
    opportunities.team,
    opportunities.opportunity_id,
    opportunities.opportunity_name,
    opportunities.customer_id,
    opportunities.is_won,
    opportunities.reporting_amount
from opportunities
left join customers on opportunities.customer_id = customers.customer_id
where opportunities.is_won is not null and not coalesce(customers.is_internal, false)
