-- One row per ticket, dated by its opening.
select
    cast(timezone($time_zone, timezone('UTC', tickets.opened_at)) as date) as day,
    tickets.source,
    tickets.channel,
    tickets.category,
    tickets.priority
from tickets
left join customers on tickets.customer_id = customers.customer_id
where not coalesce(customers.is_internal, false)
