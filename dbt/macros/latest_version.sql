{#-
  The latest version of each record of a raw entity. A declared version wins over the time of
  loading, and equal ones are told apart by content, so the answer does not depend on the order
  in which deliveries were loaded. `where` is a condition on the raw rows.
-#}
{% macro latest_version(entity, key, where='true') -%}
    {{ return(adapter.dispatch('latest_version', 'cohorte')(entity, key, where)) }}
{%- endmacro %}

{%- macro version_order() -%}
    _version desc nulls last,
    case when _version is null then _loaded_at end desc nulls last,
    _row_hash desc,
    _file_id desc,
    _line desc
{%- endmacro %}

{% macro default__latest_version(entity, key, where) -%}
    select *
    from (
        select
            *,
            row_number() over (
                partition by _source, {{ key | join(', ') }}
                order by {{ cohorte.version_order() }}
            ) as _version_rank
        from {{ source('raw', entity) }}
        where {{ where }}
    ) as ranked
    where _version_rank = 1
{%- endmacro %}

{#- Most records came once: only the others are sorted. -#}
{% macro duckdb__latest_version(entity, key, where) -%}
    with repeated as (
        select _source, {{ key | join(', ') }}
        from {{ source('raw', entity) }}
        where {{ where }}
        group by all
        having count(*) > 1
    )

    select records.*
    from {{ source('raw', entity) }} as records
    anti join repeated using (_source, {{ key | join(', ') }})
    where {{ where }}
    union all by name
    select records.*
    from {{ source('raw', entity) }} as records
    semi join repeated using (_source, {{ key | join(', ') }})
    where {{ where }}
    qualify row_number() over (
        partition by _source, {{ key | join(', ') }}
        order by {{ cohorte.version_order() }}
    ) = 1
{%- endmacro %}
