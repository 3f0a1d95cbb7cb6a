-- One row per customer and campaign mailed, dated by the mailing. A source that reports no
-- deliveries is taken to deliver what it sent and did not see bounce. With the days until the next
-- order, from the mailing's own day on.
with events as (
    select
        interactions.source,
        interactions.customer_id,
        interactions.campaign_id,
        interactions.kind,
        interactions.interaction_date
    from interactions
    where
        interactions.kind in (
            'email_sent',
            'email_delivered',
            'email_opened',
            'email_clicked',
            'email_bounced',
            'email_unsubscribed',
            'email_complained'
        )
        and interactions.customer_id is not null
        and interactions.interaction_date <= $as_of
),

reporting as (
    select distinct events.source
    from events
    where events.kind = 'email_delivered'
),

recipients as (
    select
        source,
        customer_id,
        campaign_id,
        min(case when kind in ('email_sent', 'email_delivered') then interaction_date end) as day,
        case
            when source in (select reporting.source from reporting)
                then bool_or(kind = 'email_delivered')
            else bool_or(kind = 'email_sent') and not bool_or(kind = 'email_bounced')
        end as is_delivered,
        bool_or(kind = 'email_opened') as has_opened,
        bool_or(kind = 'email_clicked') as has_clicked,
        bool_or(kind = 'email_unsubscribed') as has_unsubscribed,
        bool_or(kind = 'email_complained') as has_complained
    from events
    group by source, customer_id, campaign_id
),

ordered as (
    select
        orders.customer_id,
        orders.order_date
    from orders
    where orders.is_order and orders.customer_id is not null
)

select
    recipients.day,
    recipients.source,
    recipients.campaign_id,
    profiles.country_code,
    profiles.region,
    profiles.rfm_segment,
    recipients.customer_id,
    recipients.is_delivered,
    recipients.has_opened,
    recipients.has_clicked,
    recipients.has_unsubscribed,
    recipients.has_complained,
    ordered.order_date - recipients.day as days_to_order
from recipients
inner join customer_profiles as profiles on recipients.customer_id = profiles.customer_id
asof left join ordered
    on recipients.customer_id = ordered.customer_id and recipients.day <= ordered.order_date
where not coalesce(profiles.is_internal, false)
