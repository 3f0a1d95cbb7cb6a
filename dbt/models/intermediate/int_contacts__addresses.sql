{{ config(tags=['unify'], materialized='view') }}

-- One row per source and contact_id: whether its postal address can be right, and why not.
-- The project is read without a workspace's settings, so what it reads by a setting is named:
-- depends_on: {{ source('raw', 'address_verdicts') }}
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
        {{ address_hash() }} as address_hash,
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
    compared.source,
    compared.contact_id,
    coalesce(compared.address_line, compared.postcode, compared.city) is not null as has_address,
    {% if var('address_service') -%}
    coalesce(
        {{ address_problem() }},
        case when verdicts.verdict = 'undeliverable' then 'undeliverable' end
    ) as address_problem,
    verdicts.verdict,
    verdicts.service as checked_by,
    {%- else -%}
    {{ address_problem() }} as address_problem,
    cast(null as {{ dbt.type_string() }}) as verdict,
    cast(null as {{ dbt.type_string() }}) as checked_by,
    {%- endif %}
    compared.address_hash
from compared
{% if var('address_service') %}
left join {{ source('raw', 'address_verdicts') }} as verdicts
    on compared.address_hash = verdicts.address_hash
{%- endif %}
