{{ config(tags=['unify']) }}

-- One row per source record with its customer. record_number orders all records by how far their
-- values are believed: trust in the source, then the latest change, then the record's own id.
select
    contacts.*,
    identity_map.customer_id,
    identity_map.link_rule,
    row_number() over (
        order by
            coalesce(declared.trust, 9) asc,
            coalesce(contacts.updated_at, contacts.created_at) desc nulls last,
            contacts.source asc,
            contacts.contact_id asc
    ) as record_number
from {{ ref('stg_contacts') }} as contacts
inner join {{ source('identity', 'identity_map') }} as identity_map
    on contacts.source = identity_map.source and contacts.contact_id = identity_map.contact_id
left join {{ ref('stg_sources') }} as declared on contacts.source = declared.source
