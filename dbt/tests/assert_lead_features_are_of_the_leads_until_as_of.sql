{{ config(tags=['features']) }}

select leads.source, leads.lead_id
from {{ ref('leads') }} as leads
full outer join {{ ref('lead_features') }} as features
    on leads.source = features.source and leads.lead_id = features.lead_id
where
    leads.lead_id is null
    or (features.lead_id is null and leads.created_date <= {{ as_of() }})
    or features.converted_at >= {{ as_of_end() }}
