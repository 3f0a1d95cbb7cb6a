-- One row per ticket, dated by its opening: hours until the first response and until it was
-- resolved, or waited until as_of when it was not yet; none to a resolution without a date.
select
    cast(timezone($time_zone, timezone('UTC', tickets.opened_at)) as date) as day,
    tickets.source,
    tickets.channel,
    tickets.category,
    tickets.priority,
    tickets.product_category,
    tickets.product_name,
    tickets.ticket_id,
    tickets.customer_id,
    tickets.status,
    coalesce(tickets.first_response_at, tickets.resolved_at) < $known_at as is_answered,
    greatest(
        date_diff(
            'second',
            tickets.opened_at,
            least(coalesce(tickets.first_response_at, tickets.resolved_at, $known_at), $known_at)
        ) / 3600.0,
        0
    ) as hours_to_response,
    tickets.resolved_at < $known_at as is_resolved,
    case
        when
            tickets.resolved_at is not null
            or coalesce(tickets.status, 'open') not in ('resolved', 'closed', 'solved')
            then greatest(
                date_diff(
                    'second',
                    tickets.opened_at,
                    least(coalesce(tickets.resolved_at, $known_at), $known_at)
                ) / 3600.0,
                0
            )
    end as hours_to_resolution
from tickets
left join customers on tickets.customer_id = customers.customer_id
where not coalesce(customers.is_internal, false)
