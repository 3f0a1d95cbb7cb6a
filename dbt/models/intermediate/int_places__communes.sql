{{ config(tags=['stage'], materialized='table') }}

-- Every commune of every postal code that the workspace has loaded.
select
    coalesce(upper({{ clean_text('country_code') }}), '{{ var("country_code") }}') as country_code,
    upper({{ clean_text('postcode') }}) as postcode,
    {{ city_key(fold_text('city')) }} as city_key
from {{ source('raw', 'places') }}
group by 1, 2, 3
