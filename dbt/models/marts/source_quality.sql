{{ config(tags=['profile']) }}

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast({{ local_date('loaded_at') }} as date) as loaded_date,
    cast(count(*) as {{ dbt.type_bigint() }}) as files_count,
    cast(sum(coalesce(records, 0)) as {{ dbt.type_bigint() }}) as records,
    cast(sum(coalesce(accepted, 0)) as {{ dbt.type_bigint() }}) as accepted,
    cast(sum(coalesce(rejected, 0)) as {{ dbt.type_bigint() }}) as rejected,
    cast(
        cast(sum(coalesce(rejected, 0)) as {{ double_type() }})
        / nullif(sum(coalesce(records, 0)), 0) as {{ double_type() }}
    ) as reject_rate,
    cast(max(loaded_at) as {{ dbt.type_timestamp() }}) as last_loaded_at
from {{ source('raw', 'files') }}
group by 1, 2
