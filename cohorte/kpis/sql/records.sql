-- One row per source record of a person: how many of name, e-mail, phone and place it fills.
select
    identities.source,
    identities.contact_id,
    identities.customer_id,
    cast(identities.full_name is not null as integer)
    + cast(identities.email is not null as integer)
    + cast(identities.phone is not null as integer)
    + cast(coalesce(identities.postcode, identities.city) is not null as integer) as filled_count
from identities
