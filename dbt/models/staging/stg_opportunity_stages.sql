with records as (
    {{ latest_version('opportunity_stages', ['opportunity_id', 'stage', 'entered_at']) }}
)

select
    _source as source,
    opportunity_id,
    stage,
    entered_at
from records
