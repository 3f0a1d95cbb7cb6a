{{ config(tags=['unify']) }}

select contacts.source, contacts.contact_id
from {{ ref('stg_contacts') }} as contacts
left join {{ ref('identities') }} as identities
    on contacts.source = identities.source and contacts.contact_id = identities.contact_id
where identities.customer_id is null
