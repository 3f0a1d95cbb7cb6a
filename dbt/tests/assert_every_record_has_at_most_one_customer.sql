{{ config(tags=['unify']) }}

select
    source,
    contact_id,
    count(*) as customers_count
from {{ source('identity', 'identity_map') }}
group by source, contact_id
having count(*) > 1
