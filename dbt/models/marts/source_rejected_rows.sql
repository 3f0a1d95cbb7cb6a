{{ config(tags=['profile']) }}

-- The latest rows of each reason: what a person looks at before mending a mapping.
with ranked as (
    select
        rejected.*,
        files.name as file_name,
        row_number() over (
            partition by
                rejected.source,
                rejected.feed,
                rejected.entity,
                rejected.column_name,
                rejected.reason
            order by rejected.rejected_at desc, files.name asc, rejected.line asc
        ) as reason_rank,
        row_number() over (
            partition by rejected.source
            order by
                rejected.rejected_at desc,
                files.name asc,
                rejected.line asc,
                rejected.entity asc,
                rejected.column_name asc
        ) as reject_number
    from {{ source('raw', 'rejected_rows') }} as rejected
    left join {{ source('raw', 'files') }} as files on rejected.file_id = files.file_id
)

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(reject_number as {{ dbt.type_bigint() }}) as reject_number,
    cast(feed as {{ dbt.type_string() }}) as feed,
    cast(file_name as {{ dbt.type_string() }}) as file_name,
    cast(line as {{ dbt.type_bigint() }}) as line,
    cast(entity as {{ dbt.type_string() }}) as entity,
    cast(column_name as {{ dbt.type_string() }}) as column_name,
    cast(reason as {{ dbt.type_string() }}) as reason,
    cast(value as {{ dbt.type_string() }}) as value,
    cast(row_text as {{ dbt.type_string() }}) as row_text,
    cast(rejected_at as {{ dbt.type_timestamp() }}) as rejected_at
from ranked
where reason_rank <= 200
