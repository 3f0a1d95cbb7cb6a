{{ config(tags=['unify'], meta={'by_customer': 'customer_id'}) }}

-- For each customer and kind of value, the record that it is taken from: the most believed one
-- that has it, unless cohorte.yml declares another rule. Names and addresses are taken whole.
with counted as (
    select *{{ survivor_frequencies() }}
    from {{ ref('int_contacts__identified') }}
),

ranked as (
    select *{{ survivor_orders() }}
    from counted
)

select
    customer_id,
    count(*) as records_count,
    {{ list_of('source') }} as sources,
    {{ survivor('name', "coalesce(
        min(
            case
                when first_name_key is not null and last_name_key is not null then belief_rank
            end
        ),
        min(case when full_name_key is not null then belief_rank end)
    )") }} as name_record,
    {{ survivor('email', "min(case when email_address is not null then belief_rank end)") }}
        as email_record,
    {{ survivor('phone', "coalesce(
        min(case when phone_key is not null then belief_rank end),
        min(case when phone is not null then belief_rank end)
    )") }} as phone_record,
    {{ survivor('address', "coalesce(
        min(case when postcode is not null and address_line is not null then belief_rank end),
        min(case when postcode is not null then belief_rank end),
        min(case when city is not null then belief_rank end),
        min(belief_rank)
    )") }} as address_record,
    {{ survivor('birth_date', "min(case when birth_date is not null then belief_rank end)") }}
        as birth_date_record,
    {{ survivor('gender', "min(case when gender is not null then belief_rank end)") }}
        as gender_record,
    {{ survivor('language', "min(case when language is not null then belief_rank end)") }}
        as language_record,
    {{ survivor('company', "min(case when company_name is not null then belief_rank end)") }}
        as company_record,
    min(case when account_id is not null then belief_rank end) as account_record,
    max(case when is_internal then 1 else 0 end) = 1 as is_internal,
    max(case when party_type = 'organisation' or account_id is not null then 1 else 0 end) = 1
        as is_business,
    min(created_at) as first_record_at
from ranked
group by customer_id
