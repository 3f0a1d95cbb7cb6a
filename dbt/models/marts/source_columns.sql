{{ config(tags=['profile']) }}

with rejects as (
    select
        file_id,
        entity,
        column_name,
        count(*) as rejected_count
    from {{ source('raw', 'rejected_rows') }}
    where entity is not null and column_name is not null
    group by file_id, entity, column_name
)

select
    cast(files.source as {{ dbt.type_string() }}) as source,
    cast({{ local_date('files.loaded_at') }} as date) as loaded_date,
    cast(counts.entity as {{ dbt.type_string() }}) as entity,
    cast(counts.column_name as {{ dbt.type_string() }}) as column_name,
    cast(sum(counts.rows_count) as {{ dbt.type_bigint() }}) as rows_count,
    cast(sum(counts.filled_count) as {{ dbt.type_bigint() }}) as filled_count,
    cast(sum(coalesce(rejects.rejected_count, 0)) as {{ dbt.type_bigint() }}) as invalid_count,
    cast(
        cast(sum(counts.filled_count) as {{ double_type() }})
        / nullif(sum(counts.rows_count), 0) as {{ double_type() }}
    ) as completeness,
    cast(
        1 - cast(sum(coalesce(rejects.rejected_count, 0)) as {{ double_type() }})
        / nullif(
            sum(counts.filled_count) + sum(coalesce(rejects.rejected_count, 0)), 0
        ) as {{ double_type() }}
    ) as validity
from {{ source('raw', 'column_counts') }} as counts
inner join {{ source('raw', 'files') }} as files on counts.file_id = files.file_id
left join rejects
    on
        counts.file_id = rejects.file_id
        and counts.entity = rejects.entity
        and counts.column_name = rejects.column_name
group by files.source, {{ local_date('files.loaded_at') }}, counts.entity, counts.column_name
