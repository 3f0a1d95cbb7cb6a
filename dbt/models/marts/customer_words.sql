{{ config(
    tags=['unify'],
    meta={'by_customer': 'customer_id', 'timeless': ['customers', 'int_customers__activity']}
) }}

-- What the search of customers looks in, kept by word so that it reads only the words alike.
with words as (
    select
        customer_id,
        {{
            each_word(fold_text(
                "coalesce(full_name, '') || ' ' || coalesce(company_name, '') || ' '"
                ~ " || coalesce(email, '')"
            ))
        }} as word
    from {{ ref('customers') }}
)

select distinct
    cast(word as {{ dbt.type_string() }}) as word,
    cast(customer_id as {{ dbt.type_string() }}) as customer_id
from words
where length(word) >= 2
order by word asc, customer_id asc
