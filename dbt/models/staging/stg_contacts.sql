{{ config(materialized='table', meta={'by_customer': 'source, contact_id'}) }}

with records as (
    {{ latest_version('contacts', ['contact_id']) }}
),

cleaned as (
    select
        records.*,
        {{ clean_text('records.full_name') }} as given_full_name,
        {{ clean_text('records.first_name') }} as given_first_name,
        {{ clean_text('records.last_name') }} as given_last_name,
        lower({{ clean_text('records.gender') }}) as given_gender,
        lower({{ clean_text('records.salutation') }}) as given_salutation,
        upper({{ clean_text('records.country_code') }}) as given_country,
        coalesce(declared.country_code, '{{ var("country_code") }}') as usual_country,
        coalesce(declared.trust, 9) as trust,
        {{ normalise_email('records.email') }} as valid_email,
        {{ clean_text('records.phone') }} as given_phone,
        lower({{ clean_text('records.party_type') }}) as given_party_type
    from records
    left join {{ ref('stg_sources') }} as declared on records._source = declared.source
),

named as (
    select
        *,
        coalesce(
            given_full_name, nullif(concat_ws(' ', given_first_name, given_last_name), '')
        ) as whole_name,
        {{ without_accents('given_full_name') }} as folded_full_name,
        {{ without_accents('given_first_name') }} as folded_first_name,
        {{ without_accents('given_last_name') }} as folded_last_name,
        case when length(given_country) = 2 then given_country else usual_country end
            as phone_country
    from cleaned
),

keyed as (
    select
        *,
        {{ words_of('folded_full_name') }} as given_full_name_key,
        {{ words_of('folded_first_name') }} as first_name_key,
        {{ words_of('folded_last_name') }} as last_name_key,
        {{ phone_digits('given_phone', 'phone_country') }} as digits
    from named
),

closed as (
    {{ closed_records('contacts', ['contact_id']) }}
)

select
    keyed._source as source,
    keyed.contact_id,
    person_id,
    external_id,
    loyalty_number,
    account_id,

    whole_name as full_name,
    given_first_name as first_name,
    given_last_name as last_name,
    coalesce(given_full_name_key, nullif(concat_ws(' ', first_name_key, last_name_key), ''))
        as full_name_key,
    first_name_key,
    last_name_key,
    case
        when given_gender in ('f', 'female', 'femme', 'w', 'woman', '2', 'feminino') then 'female'
        when given_gender in ('m', 'male', 'homme', 'h', 'man', '1', 'masculino') then 'male'
        when given_gender is not null then 'other'
        when given_salutation in ('mme', 'madame', 'mlle', 'mrs', 'ms', 'miss', 'mrs.', 'ms.')
            then 'female'
        when given_salutation in ('m', 'm.', 'mr', 'mr.', 'monsieur') then 'male'
    end as gender,
    {{ clean_text('company_name') }} as company_name,
    {{ clean_text('job_title') }} as job_title,
    coalesce(given_party_type, 'person') as party_type,
    lower(substr({{ clean_text('language') }}, 1, 2)) as language,

    lower({{ clean_text('email') }}) as email,
    valid_email as email_address,
    {{ email_key('valid_email') }} as email_key,
    given_phone as phone,
    {{ normalise_phone('given_phone', 'digits', 'phone_country') }} as phone_key,

    {{ clean_text('address_line') }} as address_line,
    upper({{ clean_text('postcode') }}) as postcode,
    {{ clean_text('city') }} as city,
    {{ fold_text('city') }} as city_key,
    {{ clean_text('region') }} as region,
    coalesce(given_country, usual_country) as country_code,
    cast(latitude as double) as latitude,
    cast(longitude as double) as longitude,

    coalesce(is_internal, false) or coalesce(given_party_type, 'person') = 'staff' as is_internal,
    birth_date,
    created_at,
    updated_at,
    closed.closed_at,

    {{
        belief_rank(
            'trust',
            'coalesce(updated_at, created_at)',
            'whole_name',
            'keyed._source',
            'keyed.contact_id'
        )
    }}
        as belief_rank
from keyed
left join closed
    on keyed._source = closed.source and keyed.contact_id = closed.contact_id
