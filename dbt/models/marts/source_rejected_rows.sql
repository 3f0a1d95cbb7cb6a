{{ config(tags=['profile']) }}

-- The latest rows of each reason: what a person looks at before mending a mapping.
with ranked as (
    select
        *,
        row_number() over (
            partition by source
            order by rejected_at desc, file_name asc, line asc, entity asc, column_name asc
        ) as reject_number
    from {{ ref('int_rejected_rows__ranked') }}
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
