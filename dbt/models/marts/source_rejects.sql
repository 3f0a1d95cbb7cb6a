{{ config(tags=['profile']) }}

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(feed as {{ dbt.type_string() }}) as feed,
    cast(entity as {{ dbt.type_string() }}) as entity,
    cast(column_name as {{ dbt.type_string() }}) as column_name,
    cast(reason as {{ dbt.type_string() }}) as reason,
    cast(rows_count as {{ dbt.type_bigint() }}) as rows_count,
    cast(file_name as {{ dbt.type_string() }}) as example_file,
    cast(line as {{ dbt.type_bigint() }}) as example_line
from {{ ref('int_rejected_rows__ranked') }}
where reason_rank = 1
