-- One row per source: the age in hours of its latest delivery, at the end of the period or at
-- publication when the period reaches as_of.
select
    source_quality.source,
    date_diff('second', max(source_quality.last_loaded_at), $told_at) / 3600.0 as hours
from source_quality
where source_quality.last_loaded_at <= $told_at
group by source_quality.source
