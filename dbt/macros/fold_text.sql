{#-
  Text for comparing: lower case, no accents, letters and digits only, single blanks; null when
  empty. Two steps, so that a model can keep the first as a column and not compute it twice.
-#}
{% macro fold_text(expression) -%}
    {{ cohorte.words_of(cohorte.without_accents(expression)) }}
{%- endmacro %}

{% macro without_accents(expression) -%}
    {{ return(adapter.dispatch('without_accents', 'cohorte')(expression)) }}
{%- endmacro %}

{% macro default__without_accents(expression) -%}
    lower({{ expression }})
{%- endmacro %}

{% macro duckdb__without_accents(expression) -%}
    lower(strip_accents({{ expression }}))
{%- endmacro %}

{% macro words_of(folded) -%}
    {{ return(adapter.dispatch('words_of', 'cohorte')(folded)) }}
{%- endmacro %}

{% macro default__words_of(folded) -%}
    nullif(trim({{ folded }}), '')
{%- endmacro %}

{#- Most texts are words already: the replacement is for the others. -#}
{% macro duckdb__words_of(folded) -%}
    nullif(
        trim(
            case
                when regexp_matches({{ folded }}, '[^a-z0-9 ]|  ')
                    then regexp_replace({{ folded }}, '[^a-z0-9]+', ' ', 'g')
                else {{ folded }}
            end
        ),
        ''
    )
{%- endmacro %}

{#- Text for reading: no blanks around, no double blanks inside; null when empty. -#}
{% macro clean_text(expression) -%}
    {{ return(adapter.dispatch('clean_text', 'cohorte')(expression)) }}
{%- endmacro %}

{% macro default__clean_text(expression) -%}
    nullif(trim({{ expression }}), '')
{%- endmacro %}

{#- Most texts have single blanks only: the replacement is for the others. -#}
{% macro duckdb__clean_text(expression) -%}
    nullif(
        trim(
            case
                when contains({{ expression }}, '  ')
                    or contains({{ expression }}, chr(9))
                    or contains({{ expression }}, chr(10))
                    or contains({{ expression }}, chr(13))
                    or contains({{ expression }}, chr(160))
                    then regexp_replace({{ expression }}, '[\s\x{a0}]+', ' ', 'g')
                else {{ expression }}
            end
        ),
        ''
    )
{%- endmacro %}
