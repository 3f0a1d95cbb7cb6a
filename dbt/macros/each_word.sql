{#- One row per word of a text whose words stand between single blanks. -#}
{% macro each_word(words) -%}
    {{ return(adapter.dispatch('each_word', 'cohorte')(words)) }}
{%- endmacro %}

{% macro default__each_word(words) -%}
    explode(split({{ words }}, ' '))
{%- endmacro %}

{% macro duckdb__each_word(words) -%}
    unnest(string_split({{ words }}, ' '))
{%- endmacro %}
