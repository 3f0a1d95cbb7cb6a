{{ config(tags=['profile'], materialized='view') }}

-- Every rejected row with its file, and among those of one reason how many there are and which of
-- them it is, the latest first.
select
    rejected.*,
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
    ) as reason_rank
from {{ source('raw', 'rejected_rows') }} as rejected
left join {{ source('raw', 'files') }} as files on rejected.file_id = files.file_id
