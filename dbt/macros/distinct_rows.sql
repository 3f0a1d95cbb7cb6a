{#-
  The rows of a raw entity that has no id: the same typed row counts as often as in the delivery
  that holds it most often, so a file delivered twice counts once and equal lines of one file
  count each. `where` is a condition on the raw rows.
-#}
{% macro distinct_rows(entity, where='true') -%}
    {{ return(adapter.dispatch('distinct_rows', 'cohorte')(entity, where)) }}
{%- endmacro %}

{% macro default__distinct_rows(entity, where) -%}
    select *
    from (
        select
            *,
            row_number() over (
                partition by _source, _row_hash, _occurrence order by _file_id
            ) as _delivery_rank
        from {{ source('raw', entity) }}
        where {{ where }}
    ) as ranked
    where _delivery_rank = 1
{%- endmacro %}

{#- Most rows were delivered once: only the others are ranked. -#}
{% macro duckdb__distinct_rows(entity, where) -%}
    with repeated as (
        select _source, _row_hash, _occurrence
        from {{ source('raw', entity) }}
        where {{ where }}
        group by all
        having count(*) > 1
    )

    select records.*
    from {{ source('raw', entity) }} as records
    anti join repeated using (_source, _row_hash, _occurrence)
    where {{ where }}
    union all by name
    select records.*
    from {{ source('raw', entity) }} as records
    semi join repeated using (_source, _row_hash, _occurrence)
    where {{ where }}
    qualify row_number() over (
        partition by _source, _row_hash, _occurrence order by _file_id
    ) = 1
{%- endmacro %}
