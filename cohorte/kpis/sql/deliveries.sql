-- One row per source and day of loading.
select
    source_quality.loaded_date as day,
    source_quality.source,
    source_quality.records,
    source_quality.rejected
from source_quality
