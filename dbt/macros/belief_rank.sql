{#-
  A number that orders all records by how far their values are believed, the least first: trust in
  the source, then the latest change, then a name not all in capitals, then the hash of the
  record's id. No two records share one.
-#}
{% macro belief_rank(trust, changed_at, name, source, id) -%}
    {{ return(adapter.dispatch('belief_rank', 'cohorte')(trust, changed_at, name, source, id)) }}
{%- endmacro %}

{% macro default__belief_rank(trust, changed_at, name, source, id) -%}
    row_number() over (
        order by
            {{ trust }} asc, {{ changed_at }} desc nulls last, {{ in_capitals(name) }} asc,
            left(md5({{ source }} || '/' || {{ id }}), 15) asc
    )
{%- endmacro %}

{#- Packed in one number, which spares sorting: 36 bits of seconds, 1 of capitals, 60 of hash. -#}
{% macro duckdb__belief_rank(trust, changed_at, name, source, id) -%}
    (
        cast({{ trust }} as hugeint) * 68719476736
        + coalesce(34359738368 - cast(epoch({{ changed_at }}) as bigint), 68719476735)
    ) * 2305843009213693952
    + {{ in_capitals(name) }} * 1152921504606846976
    + cast('0x' || left(md5({{ source }} || '/' || {{ id }}), 15) as bigint)
{%- endmacro %}

{#- 1 for a text with letters and none of them small, else 0. -#}
{% macro in_capitals(expression) -%}
    case
        when {{ expression }} = upper({{ expression }}) and {{ expression }} <> lower({{ expression }})
            then 1
        else 0
    end
{%- endmacro %}
