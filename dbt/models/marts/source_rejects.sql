{{ config(tags=['profile']) }}

with ranked as (
    select
        rejected.source,
        rejected.feed,
        rejected.entity,
        rejected.column_name,
        rejected.reason,
        rejected.line,
        files.name as file_name,
        count(*) over (
            partition by
                rejected.source,
                rejected.feed,
                rejected.entity,
                rejected.column_name,
                rejected.reason
        ) as rows_count,
        row_number() over (
            partition by
                rejected.source,
                rejected.feed,
                rejected.entity,
                rejected.column_name,
                rejected.reason
            order by rejected.rejected_at desc, files.name asc, rejected.line asc
        ) as example_rank
    from {{ source('raw', 'rejected_rows') }} as rejected
    left join {{ source('raw', 'files') }} as files on rejected.file_id = files.file_id
)

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(feed as {{ dbt.type_string() }}) as feed,
    cast(entity as {{ dbt.type_string() }}) as entity,
    cast(column_name as {{ dbt.type_string() }}) as column_name,
    cast(reason as {{ dbt.type_string() }}) as reason,
    cast(rows_count as {{ dbt.type_bigint() }}) as rows_count,
    cast(file_name as {{ dbt.type_string() }}) as example_file,
    cast(line as {{ dbt.type_bigint() }}) as example_line
from ranked
where example_rank = 1
