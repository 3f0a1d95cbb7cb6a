{#- How many elements a list in a JSON object has; nought where it has none. -#}
{% macro json_list_length(expression, key) -%}
    {{ return(adapter.dispatch('json_list_length', 'cohorte')(expression, key)) }}
{%- endmacro %}

{% macro default__json_list_length(expression, key) -%}
    coalesce(json_array_length(get_json_object({{ expression }}, '$.{{ key }}')), 0)
{%- endmacro %}

{% macro duckdb__json_list_length(expression, key) -%}
    coalesce(json_array_length({{ expression }}, '$.{{ key }}'), 0)
{%- endmacro %}
