{{ config(tags=['unify'], materialized='view') }}

-- One row per source and contact_id: whether its postal address can be right, and why not.
with known_codes as (
    select
        country_code,
        postcode
    from {{ ref('int_places__communes') }}
    group by country_code, postcode
),

known_countries as (
    select country_code
    from {{ ref('int_places__communes') }}
    group by country_code
),

compared as (
    select
        contacts.source,
        contacts.contact_id,
        contacts.address_line,
        contacts.postcode,
        contacts.city,
        contacts.city_key,
        contacts.country_code,
        known_countries.country_code is not null as has_reference,
        known_codes.postcode is not null as is_known_postcode,
        communes.postcode is not null as is_commune_of_postcode
    from {{ ref('stg_contacts') }} as contacts
    left join known_countries on contacts.country_code = known_countries.country_code
    left join known_codes
        on
            contacts.country_code = known_codes.country_code
            and contacts.postcode = known_codes.postcode
    left join {{ ref('int_places__communes') }} as communes
        on
            contacts.country_code = communes.country_code
            and contacts.postcode = communes.postcode
            and {{ city_key('contacts.city_key') }} = communes.city_key
)

select
    source,
    contact_id,
    coalesce(address_line, postcode, city) is not null as has_address,
    {{ address_problem() }} as address_problem
from compared
