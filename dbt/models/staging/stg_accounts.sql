with records as (
    {{ latest_version('accounts', ['account_id']) }}
)

select
    _source as source,
    account_id,
    parent_account_id,

    {{ clean_text('account_name') }} as account_name,
    {{ fold_text('account_name') }} as account_name_key,
    {{ clean_text('legal_id') }} as legal_id,
    {{ clean_text('vat_number') }} as vat_number,
    lower({{ clean_text('domain') }}) as domain,
    {{ clean_text('industry') }} as industry,
    employees_count,
    {{ clean_text('phone') }} as phone,
    {{ clean_text('address_line') }} as address_line,
    upper({{ clean_text('postcode') }}) as postcode,
    {{ clean_text('city') }} as city,
    {{ clean_text('region') }} as region,
    coalesce(upper({{ clean_text('records.country_code') }}), '{{ var("country_code") }}')
        as country_code,

    created_at,
    updated_at
from records
