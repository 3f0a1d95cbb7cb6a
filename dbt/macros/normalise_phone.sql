{#-
  A phone number in E.164 as the carriers' library `phonenumbers` reads it, null when the library
  calls it invalid. Numbers that the plans in the variable `phone_plans` prove valid (international
  with + or 00, national of the record's country) need no question. `text` is the number as it
  came, `digits` what phone_digits leaves of it, as a column, so that it is not computed for every
  plan; `country` is an ISO 3166 alpha-2 expression.
-#}
{% macro normalise_phone(text, digits, country) -%}
    {{ return(adapter.dispatch('normalise_phone', 'cohorte')(text, digits, country)) }}
{%- endmacro %}

{% macro default__normalise_phone(text, digits, country) -%}
    nullif({{ digits }}, '')
{%- endmacro %}

{#- Digits of a number as it came, with the + of an international one in front; null where it
  holds anything that a number need not hold. -#}
{% macro phone_digits(expression, country) -%}
    {{ return(adapter.dispatch('phone_digits', 'cohorte')(expression, country)) }}
{%- endmacro %}

{% macro default__phone_digits(expression, country) -%}
    replace(replace(replace(trim({{ expression }}), ' ', ''), '.', ''), '-', '')
{%- endmacro %}

{% macro duckdb__phone_digits(expression, country) -%}
    {%- set double_zero = [] -%}
    {%- for region, plan in var('phone_plans').items() if plan.is_double_zero -%}
        {%- do double_zero.append("'" ~ region ~ "'") -%}
    {%- endfor -%}
    case
        when not regexp_full_match({{ expression }}, '\s*[+(]?[0-9 ().\-/]+') then null
        {%- if double_zero %}
        when {{ country }} in ({{ double_zero | join(', ') }})
            then regexp_replace(
                regexp_replace({{ expression }}, '[^0-9+]', '', 'g'), '^00', '+'
            )
        {%- endif %}
        else regexp_replace({{ expression }}, '[^0-9+]', '', 'g')
    end
{%- endmacro %}

{% macro duckdb__normalise_phone(text, digits, country) -%}
    coalesce(
        {{ cohorte.proven_phone(digits, country) }},
        phone_e164({{ text }}, {{ country }}, '{{ var("country_code") }}')
    )
{%- endmacro %}

{#- A number that a plan proves valid; null says nothing. -#}
{% macro proven_phone(digits, country) -%}
    case
        when {{ digits }} is null then null
        {%- for is_national in (false, true) %}
        {%- for region, plan in var('phone_plans').items() %}
        {%- set rest = digits if is_national
            else "substr(" ~ digits ~ ", " ~ (plan.code | length + 2) ~ ")" %}
        {%- set national = "ltrim(" ~ rest ~ ", '0')" if plan.has_trunk else rest %}
        when
            {% if is_national %}{{ country }} = '{{ region }}'
            {%- else %}starts_with({{ digits }}, '+{{ plan.code }}'){% endif %}
            and regexp_full_match({{ national }}, '{{ plan.kinds }}')
            and regexp_full_match({{ national }}, '{{ plan.general }}')
            {%- if plan.has_trunk %}
            and not starts_with({{ rest }}, '00')
            {%- endif %}
            then '+{{ plan.code }}' || {{ national }}
        {%- endfor %}
        {%- endfor %}
    end
{%- endmacro %}
