-- One row per lead that converted, dated by its conversion.
select
    cast(timezone($time_zone, timezone('UTC', leads.converted_at)) as date) as day,
    leads.source,
    leads.channel,
    leads.landing_page,
    leads.campaign_id,
    leads.industry,
    leads.owner,
    leads.lead_id,
    leads.customer_id
from leads
left join customers on leads.customer_id = customers.customer_id
where leads.is_converted and not coalesce(customers.is_internal, false)
