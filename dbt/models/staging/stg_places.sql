{{ config(materialized='table') }}

-- Coordinates are the mean of exact decimals, so the order of rows does not matter; a code that
-- several communes share names none.
with records as (
    {{ distinct_rows('places') }}
)

select
    coalesce(upper({{ clean_text('country_code') }}), '{{ var("country_code") }}') as country_code,
    upper({{ clean_text('postcode') }}) as postcode,
    case
        when min({{ fold_text('city') }}) = max({{ fold_text('city') }})
            then max({{ clean_text('city') }})
    end as city,
    case
        when min({{ fold_text('region') }}) = max({{ fold_text('region') }})
            then max({{ clean_text('region') }})
    end as region,
    round(cast(sum(latitude) as double) / count(latitude), 6) as latitude,
    round(cast(sum(longitude) as double) / count(longitude), 6) as longitude
from records
group by 1, 2
