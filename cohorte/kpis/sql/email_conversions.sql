-- One row per customer and campaign that an e-mail reached in the period: whether they ordered
-- within $conversion_days of it, and whether that many days are over.
with events as (
    select
        interactions.source,
        interactions.customer_id,
        interactions.campaign_id,
        interactions.kind,
        interactions.interaction_date,
        max(case when interactions.kind = 'email_delivered' then 1 else 0 end)
            over (partition by interactions.source) = 1 as reports_deliveries
    from interactions
    where
        interactions.kind in ('email_sent', 'email_delivered', 'email_bounced')
        and interactions.customer_id is not null
        and interactions.interaction_date <= $as_of
),

reached as (
    select
        source,
        customer_id,
        campaign_id,
        min(case when kind <> 'email_bounced' then interaction_date end) as day
    from events
    group by source, customer_id, campaign_id
    having case
        when bool_or(reports_deliveries) then bool_or(kind = 'email_delivered')
        else bool_or(kind = 'email_sent') and not bool_or(kind = 'email_bounced')
    end
),

converted as (
    select
        reached.source,
        reached.customer_id,
        reached.campaign_id
    from reached
    inner join orders on reached.customer_id = orders.customer_id
    where
        reached.day >= $start
        and reached.day < $end
        and orders.is_order
        and orders.order_date between reached.day
        and reached.day + cast($conversion_days as integer)
    group by reached.source, reached.customer_id, reached.campaign_id
)

select
    reached.day,
    reached.source,
    reached.campaign_id,
    profiles.country_code,
    profiles.region,
    profiles.rfm_segment,
    reached.customer_id,
    converted.customer_id is not null as has_converted,
    reached.day + cast($conversion_days as integer) <= $as_of as is_observed
from reached
inner join customer_profiles as profiles on reached.customer_id = profiles.customer_id
left join converted
    on
        reached.source = converted.source
        and reached.customer_id = converted.customer_id
        and reached.campaign_id is not distinct from converted.campaign_id
where
    reached.day >= $start
    and reached.day < $end
    and not coalesce(profiles.is_internal, false)
