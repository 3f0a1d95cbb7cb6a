-- One row per ticket resolved, dated by its resolution, and whether an answer about it came. None
-- where no answer of the company names its ticket.
select
    cast(timezone($time_zone, timezone('UTC', tickets.resolved_at)) as date) as day,
    tickets.source,
    tickets.channel,
    tickets.category,
    tickets.priority,
    tickets.product_category,
    tickets.product_name,
    tickets.ticket_id,
    tickets.customer_id,
    rated.ticket_id is not null as is_rated
from tickets
left join customers on tickets.customer_id = customers.customer_id
left join (
    select distinct
        surveys.ticket_id,
        surveys.customer_id
    from surveys
    where surveys.ticket_id is not null and surveys.score is not null
) as rated
    on
        tickets.ticket_id = rated.ticket_id
        and tickets.customer_id is not distinct from rated.customer_id
where
    tickets.resolved_at < $known_at
    and not coalesce(customers.is_internal, false)
    and exists (
        select 1 from surveys
        where surveys.ticket_id is not null and surveys.score is not null
    )
