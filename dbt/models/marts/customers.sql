{{ config(tags=['unify'], meta={'by_customer': 'customer_id'}) }}

with corrected_names as (
    select
        corrections.customer_id,
        concat_ws(
            ' ',
            coalesce(corrections.first_name, names.first_name),
            coalesce(corrections.last_name, names.last_name)
        ) as full_name
    from {{ ref('int_customers__corrections') }} as corrections
    inner join {{ ref('int_customers__golden_records') }} as golden
        on corrections.customer_id = golden.customer_id
    left join {{ ref('stg_contacts') }} as names
        on golden.name_record = names.belief_rank
),

golden as (
    select
        golden.customer_id,
        golden.records_count,
        golden.sources,
        golden.is_internal,
        coalesce(
            corrections.full_name,
            case
                when corrections.first_name is not null or corrections.last_name is not null
                    then corrected_names.full_name
            end,
            names.full_name
        ) as full_name,
        coalesce(corrections.first_name, names.first_name) as first_name,
        coalesce(corrections.last_name, names.last_name) as last_name,
        case
            when
                coalesce(corrections.full_name, corrections.first_name, corrections.last_name)
                is not null
                then 'correction'
            else names.source
        end as name_source,
        coalesce(corrections.email, emails.email_address) as email,
        case when corrections.email is not null then 'correction' else emails.source end
            as email_source,
        coalesce(corrections.phone, phones.phone_key, phones.phone) as phone,
        case when corrections.phone is not null then 'correction' else phones.source end
            as phone_source,
        coalesce(corrections.birth_date, births.birth_date) as birth_date,
        case when corrections.birth_date is not null then 'correction' else births.source end
            as birth_date_source,
        coalesce(corrections.gender, genders.gender) as gender,
        coalesce(corrections.language, languages.language) as language,
        coalesce(corrections.company_name, companies.company_name) as company_name,
        accounts.account_id,
        coalesce(corrections.address_line, addresses.address_line) as address_line,
        coalesce(corrections.postcode, addresses.postcode) as postcode,
        coalesce(corrections.city, addresses.city, places.city) as city,
        coalesce(addresses.region, places.region) as region,
        addresses.country_code,
        coalesce(addresses.latitude, places.latitude) as latitude,
        coalesce(addresses.longitude, places.longitude) as longitude,
        case
            when
                coalesce(corrections.address_line, corrections.postcode, corrections.city)
                is not null
                then 'correction'
            when addresses.postcode is not null or addresses.city is not null
                then addresses.source
        end as address_source,
        least(
            coalesce(golden.first_record_at, activity.first_at),
            coalesce(activity.first_at, golden.first_record_at)
        ) as first_seen_at,
        activity.last_bought_date,
        coalesce(activity.has_lead, false) as has_lead
    from {{ ref('int_customers__golden_records') }} as golden
    left join {{ ref('stg_contacts') }} as names
        on golden.name_record = names.belief_rank
    left join {{ ref('stg_contacts') }} as emails
        on golden.email_record = emails.belief_rank
    left join {{ ref('stg_contacts') }} as phones
        on golden.phone_record = phones.belief_rank
    left join {{ ref('stg_contacts') }} as addresses
        on golden.address_record = addresses.belief_rank
    left join {{ ref('stg_contacts') }} as births
        on golden.birth_date_record = births.belief_rank
    left join {{ ref('stg_contacts') }} as genders
        on golden.gender_record = genders.belief_rank
    left join {{ ref('stg_contacts') }} as languages
        on golden.language_record = languages.belief_rank
    left join {{ ref('stg_contacts') }} as companies
        on golden.company_record = companies.belief_rank
    left join {{ ref('stg_contacts') }} as accounts
        on golden.account_record = accounts.belief_rank
    left join {{ ref('stg_places') }} as places
        on addresses.country_code = places.country_code and addresses.postcode = places.postcode
    left join {{ ref('int_customers__corrections') }} as corrections
        on golden.customer_id = corrections.customer_id
    left join corrected_names on golden.customer_id = corrected_names.customer_id
    left join {{ ref('int_customers__activity') }} as activity
        on golden.customer_id = activity.customer_id
)

select
    cast(customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(full_name as {{ dbt.type_string() }}) as full_name,
    cast(first_name as {{ dbt.type_string() }}) as first_name,
    cast(last_name as {{ dbt.type_string() }}) as last_name,
    cast(email as {{ dbt.type_string() }}) as email,
    cast(phone as {{ dbt.type_string() }}) as phone,
    cast(birth_date as date) as birth_date,
    cast(gender as {{ dbt.type_string() }}) as gender,
    cast(language as {{ dbt.type_string() }}) as language,
    cast(company_name as {{ dbt.type_string() }}) as company_name,
    cast(account_id as {{ dbt.type_string() }}) as account_id,
    cast(address_line as {{ dbt.type_string() }}) as address_line,
    cast(postcode as {{ dbt.type_string() }}) as postcode,
    cast(city as {{ dbt.type_string() }}) as city,
    cast(region as {{ dbt.type_string() }}) as region,
    cast(country_code as {{ dbt.type_string() }}) as country_code,
    cast(latitude as {{ double_type() }}) as latitude,
    cast(longitude as {{ double_type() }}) as longitude,
    cast(name_source as {{ dbt.type_string() }}) as name_source,
    cast(email_source as {{ dbt.type_string() }}) as email_source,
    cast(phone_source as {{ dbt.type_string() }}) as phone_source,
    cast(address_source as {{ dbt.type_string() }}) as address_source,
    cast(birth_date_source as {{ dbt.type_string() }}) as birth_date_source,
    cast(
        case
            when
                last_bought_date
                > {{ days_before(var('lapse_days'), as_of()) }}
                then 'customer'
            when last_bought_date is not null then 'lapsed'
            when has_lead then 'lead'
            else 'prospect'
        end as {{ dbt.type_string() }}
    ) as lifecycle_status,
    cast(is_internal as {{ dbt.type_boolean() }}) as is_internal,
    cast(records_count as {{ dbt.type_bigint() }}) as records_count,
    cast(sources as {{ dbt.type_string() }}) as sources,
    cast(first_seen_at as {{ dbt.type_timestamp() }}) as first_seen_at,
    cast({{ local_date('first_seen_at') }} as date) as created_date
from golden
