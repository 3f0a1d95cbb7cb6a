{{ config(tags=['profile']) }}

-- The first day of a source brings its history: it is no measure of the days that follow.
with repeats as (
    select
        file_id,
        sum(repeated_count) as repeated_count
    from {{ source('raw', 'entity_counts') }}
    group by file_id
),

again as (
    select
        file_id,
        sum(same_count) as same_count,
        sum(changed_count) as changed_count
    from {{ source('raw', 'again_counts') }}
    group by file_id
),

days as (
    select
        files.source,
        {{ local_date('files.loaded_at') }} as loaded_date,
        count(*) as files_count,
        sum(case when files.status = 'quarantined' then 1 else 0 end) as quarantined_count,
        sum(coalesce(files.records, 0)) as records,
        sum(coalesce(repeats.repeated_count, 0)) as repeated_count,
        sum(coalesce(again.same_count, 0)) as same_count,
        sum(coalesce(again.changed_count, 0)) as changed_count,
        sum({{ json_list_length('files.dialect', 'new_columns') }}) as new_columns_count,
        sum({{ json_list_length('files.dialect', 'gone_columns') }}) as gone_columns_count
    from {{ source('raw', 'files') }} as files
    left join repeats on files.file_id = repeats.file_id
    left join again on files.file_id = again.file_id
    group by files.source, {{ local_date('files.loaded_at') }}
),

ordered as (
    select
        *,
        row_number() over (partition by source order by loaded_date) as day_number
    from days
),

compared as (
    select
        *,
        count(case when day_number > 1 then records end) over before as days_before,
        avg(case when day_number > 1 then cast(records as {{ double_type() }}) end)
            over before as usual_records,
        stddev_samp(case when day_number > 1 then cast(records as {{ double_type() }}) end)
            over before as spread
    from ordered
    window before as (
        partition by source order by loaded_date rows between 28 preceding and 1 preceding
    )
),

ranged as (
    select
        *,
        usual_records - 3 * greatest(spread, usual_records / 10) as usual_low,
        usual_records + 3 * greatest(spread, usual_records / 10) as usual_high
    from compared
)

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(loaded_date as date) as loaded_date,
    cast(files_count as {{ dbt.type_bigint() }}) as files_count,
    cast(quarantined_count as {{ dbt.type_bigint() }}) as quarantined_count,
    cast(records as {{ dbt.type_bigint() }}) as records,
    cast(repeated_count as {{ dbt.type_bigint() }}) as repeated_count,
    cast(same_count as {{ dbt.type_bigint() }}) as same_count,
    cast(changed_count as {{ dbt.type_bigint() }}) as changed_count,
    cast(new_columns_count as {{ dbt.type_bigint() }}) as new_columns_count,
    cast(gone_columns_count as {{ dbt.type_bigint() }}) as gone_columns_count,
    cast(
        case when days_before >= 5 then greatest(usual_low, 0) end as {{ double_type() }}
    ) as usual_low,
    cast(case when days_before >= 5 then usual_high end as {{ double_type() }}) as usual_high,
    days_before >= 5 and (records < usual_low or records > usual_high) as is_volume_unusual
from ranged
