with records as (
    {{ latest_version('loyalty', ['loyalty_number']) }}
)

select
    _source as source,
    loyalty_number,
    contact_id,

    {{ clean_text('tier') }} as tier,

    points,
    joined_at
from records
