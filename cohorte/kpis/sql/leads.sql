-- One row per lead, dated by its creation.
select
    leads.created_date as day,
    leads.source,
    leads.channel,
    leads.landing_page,
    leads.campaign_id,
    leads.industry,
    leads.owner,
    leads.lead_id,
    leads.customer_id,
    coalesce(leads.is_converted, false) as is_converted
from leads
left join customers on leads.customer_id = customers.customer_id
where not coalesce(customers.is_internal, false)
