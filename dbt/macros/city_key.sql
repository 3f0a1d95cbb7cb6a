{#-
  The name of a commune as the post and people both write it: `St-Étienne Cedex 2` is
  `saint etienne`. Takes what fold_text leaves of a name.
-#}
{% macro city_key(folded) -%}
    {{ return(adapter.dispatch('city_key', 'cohorte')(folded)) }}
{%- endmacro %}

{% macro default__city_key(folded) -%}
    {{ folded }}
{%- endmacro %}

{% macro duckdb__city_key(folded) -%}
    trim(regexp_replace(
        regexp_replace(
            regexp_replace(
                regexp_replace({{ folded }}, ' (cedex|cdx)( [0-9]+)?$', ''), ' [0-9]+(er|eme|e)?$', ''
            ),
            '\bst\b', 'saint', 'g'
        ),
        '\bste\b', 'sainte', 'g'
    ))
{%- endmacro %}

{#- What is wrong with a postal address, first things first; null when nothing is. -#}
{% macro address_problem() -%}
    case
        when coalesce(address_line, postcode, city) is null then null
        when address_line is null then 'missing_street'
        when postcode is null then 'missing_postcode'
        when city is null then 'missing_city'
        when country_code = 'FR' and not {{ is_five_digits('postcode') }} then 'malformed_postcode'
        when not has_reference or city_key like '% cedex%' then null
        when not is_known_postcode then 'unknown_postcode'
        when not is_commune_of_postcode then 'city_not_of_postcode'
    end
{%- endmacro %}

{% macro is_five_digits(expression) -%}
    {{ return(adapter.dispatch('is_five_digits', 'cohorte')(expression)) }}
{%- endmacro %}

{% macro default__is_five_digits(expression) -%}
    length({{ expression }}) = 5
{%- endmacro %}

{% macro duckdb__is_five_digits(expression) -%}
    regexp_full_match({{ expression }}, '[0-9]{5}')
{%- endmacro %}

{#- What stands for a postal address where the address itself need not be. -#}
{% macro address_hash() -%}
    {{ dbt.hash(
        "concat_ws('|', contacts.country_code, contacts.postcode, contacts.city_key, "
        ~ cohorte.fold_text('contacts.address_line') ~ ")"
    ) }}
{%- endmacro %}
