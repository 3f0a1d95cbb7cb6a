{#-
  Accepted rows that count, for reconciliation: what staging keeps, found another way. All rows
  less the superseded ones, so `weight` is 1 for a row that came and -1 for one that a later
  version, or another delivery of the same row, replaces.
-#}
{% macro accepted_versions(entity, key, columns, where='true') -%}
    select _source as source, {{ columns | join(', ') }}, 1 as weight
    from {{ source('raw', entity) }}
    where {{ where }}
    union all
    select _source as source, {{ columns | join(', ') }}, -1 as weight
    from (
        select
            _source,
            {{ columns | join(', ') }},
            row_number() over (
                partition by _source, {{ key | join(', ') }}
                order by
                    coalesce(_version, cast('0001-01-01' as {{ dbt.type_timestamp() }})) desc,
                    case when _version is null then _loaded_at end desc nulls last,
                    _row_hash desc
            ) as version_number
        from {{ source('raw', entity) }}
        where
            {{ where }}
            and (_source, {{ key | join(', ') }}) in (
                select (_source, {{ key | join(', ') }})
                from {{ source('raw', entity) }}
                where {{ where }}
                group by _source, {{ key | join(', ') }}
                having count(*) > 1
            )
    ) as versions
    where version_number > 1
{%- endmacro %}

{% macro accepted_deliveries(entity, columns, where='true') -%}
    select _source as source, {{ columns | join(', ') }}, 1 as weight
    from {{ source('raw', entity) }}
    where {{ where }}
    union all
    select
        _source as source,
        {% for column in columns %}max({{ column }}) as {{ column }}, {% endfor -%}
        1 - count(*) as weight
    from {{ source('raw', entity) }}
    where
        {{ where }}
        and (_source, _row_hash, _occurrence) in (
            select (_source, _row_hash, _occurrence)
            from {{ source('raw', entity) }}
            where {{ where }}
            group by _source, _row_hash, _occurrence
            having count(*) > 1
        )
    group by _source, _row_hash, _occurrence
{%- endmacro %}
