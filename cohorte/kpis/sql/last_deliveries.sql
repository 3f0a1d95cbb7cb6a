-- One row per source: the age in hours of its latest delivery at the end of the period, or at
-- publication when that is earlier.
select
    source_quality.source,
    date_diff(
        'second',
        max(source_quality.last_loaded_at),
        least(cast($end_at as timestamp), max(version_info.published_at))
    ) / 3600.0 as hours
from source_quality
cross join version_info
where source_quality.last_loaded_at < $end_at
group by source_quality.source
