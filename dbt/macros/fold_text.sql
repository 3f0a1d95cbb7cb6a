{#-
  Text for comparing: lower case, no accents, letters and digits only, single blanks; null when
  empty.
-#}
{% macro fold_text(expression) -%}
    {{ return(adapter.dispatch('fold_text', 'cohorte')(expression)) }}
{%- endmacro %}

{% macro default__fold_text(expression) -%}
    nullif(trim(lower({{ expression }})), '')
{%- endmacro %}

{% macro duckdb__fold_text(expression) -%}
    nullif(trim(regexp_replace(lower(strip_accents({{ expression }})), '[^a-z0-9]+', ' ', 'g')), '')
{%- endmacro %}

{#- Text for reading: no blanks around, no double blanks inside; null when empty. -#}
{% macro clean_text(expression) -%}
    {{ return(adapter.dispatch('clean_text', 'cohorte')(expression)) }}
{%- endmacro %}

{% macro default__clean_text(expression) -%}
    nullif(trim({{ expression }}), '')
{%- endmacro %}

{% macro duckdb__clean_text(expression) -%}
    nullif(trim(regexp_replace({{ expression }}, '\s+', ' ', 'g')), '')
{%- endmacro %}
