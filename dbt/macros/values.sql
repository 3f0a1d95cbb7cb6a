{#- Id of a row that has none in its source: its content, and which of equal rows it is. -#}
{% macro content_id() -%}
    {{ return(adapter.dispatch('content_id', 'cohorte')()) }}
{%- endmacro %}

{% macro default__content_id() -%}
    concat(lower(hex(_row_hash)), '-', cast(_occurrence as {{ dbt.type_string() }}))
{%- endmacro %}

{% macro duckdb__content_id() -%}
    to_hex(_row_hash) || '-' || cast(_occurrence as varchar)
{%- endmacro %}

{#- A number that is equal for equal keys and nearly always differs for different ones. -#}
{% macro key_hash(columns) -%}
    {{ return(adapter.dispatch('key_hash', 'cohorte')(columns)) }}
{%- endmacro %}

{% macro default__key_hash(columns) -%}
    xxhash64({{ columns | join(', ') }})
{%- endmacro %}

{% macro duckdb__key_hash(columns) -%}
    hash({{ columns | join(', ') }})
{%- endmacro %}

{#- Value of one column in the row where another is greatest. -#}
{% macro value_at_greatest(value, ordering) -%}
    max_by({{ value }}, {{ ordering }})
{%- endmacro %}

{#- Sorted distinct values as one text, separated by commas. -#}
{% macro list_of(expression) -%}
    {{ return(adapter.dispatch('list_of', 'cohorte')(expression)) }}
{%- endmacro %}

{% macro default__list_of(expression) -%}
    array_join(sort_array(collect_set({{ expression }})), ',')
{%- endmacro %}

{% macro duckdb__list_of(expression) -%}
    string_agg(distinct {{ expression }}, ',' order by {{ expression }})
{%- endmacro %}

{#- Value of one column in the row where another is least. -#}
{% macro value_at_least(value, ordering) -%}
    min_by({{ value }}, {{ ordering }})
{%- endmacro %}

{#- A text that a person wrote, as a literal. -#}
{% macro text_literal(value) -%}
    '{{ value | replace("'", "''") }}'
{%- endmacro %}
