{{ config(tags=['unify'], materialized='view') }}

-- One row per source record with its customer.
select
    contacts.*,
    identity_map.customer_id,
    identity_map.link_rule
from {{ ref('stg_contacts') }} as contacts
inner join {{ source('identity', 'identity_map') }} as identity_map
    on contacts.source = identity_map.source and contacts.contact_id = identity_map.contact_id
