-- One row per ticket open at the end of the period.
select
    tickets.source,
    tickets.channel,
    tickets.category,
    tickets.priority,
    tickets.product_category,
    tickets.product_name,
    tickets.ticket_id,
    tickets.customer_id,
    tickets.opened_at,
    tickets.reopened_count
from tickets
where
    tickets.opened_at < $end_at
    and (
        tickets.resolved_at >= $end_at
        or (
            tickets.resolved_at is null
            and coalesce(tickets.status, 'open') not in ('resolved', 'closed', 'solved')
        )
    )
    and not exists (
        select 1 from customers
        where customers.is_internal and customers.customer_id = tickets.customer_id
    )
