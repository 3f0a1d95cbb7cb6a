{#-
  A number that orders all records by how far their values are believed, the least first: trust in
  the source, then the latest change, then the record's id. No two records share one.
-#}
{% macro belief_rank(trust, changed_at, source, id) -%}
    {{ return(adapter.dispatch('belief_rank', 'cohorte')(trust, changed_at, source, id)) }}
{%- endmacro %}

{% macro default__belief_rank(trust, changed_at, source, id) -%}
    row_number() over (
        order by
            {{ trust }} asc, {{ changed_at }} desc nulls last, {{ source }} asc, {{ id }} asc
    )
{%- endmacro %}

{#- Packed in one number, which spares sorting: 36 bits of seconds, 64 bits of the id's hash. -#}
{% macro duckdb__belief_rank(trust, changed_at, source, id) -%}
    (
        cast({{ trust }} as hugeint) * 68719476736
        + coalesce(34359738368 - cast(epoch({{ changed_at }}) as bigint), 68719476735)
    ) * 18446744073709551616 + md5_number_lower({{ source }} || '/' || {{ id }})
{%- endmacro %}
