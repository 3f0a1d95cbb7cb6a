{#-
  A phone number in E.164 for the common shapes (international with + or 00, national of the
  record's country), null when no shape fits. `digits` is what phone_digits leaves of the number,
  as a column, so that it is not computed for every shape; `country` is an ISO 3166 alpha-2
  expression.
-#}
{% macro normalise_phone(digits, country) -%}
    {{ return(adapter.dispatch('normalise_phone', 'cohorte')(digits, country)) }}
{%- endmacro %}

{% macro default__normalise_phone(digits, country) -%}
    nullif({{ digits }}, '')
{%- endmacro %}

{#- Digits of a number as it came, with the + of an international one in front. -#}
{% macro phone_digits(expression) -%}
    {{ return(adapter.dispatch('phone_digits', 'cohorte')(expression)) }}
{%- endmacro %}

{% macro default__phone_digits(expression) -%}
    replace(replace(replace(trim({{ expression }}), ' ', ''), '.', ''), '-', '')
{%- endmacro %}

{% macro duckdb__phone_digits(expression) -%}
    regexp_replace(
        regexp_replace({{ expression }}, '\(0\)|[^0-9+]', '', 'g'), '^(?:00|\+00)', '+'
    )
{%- endmacro %}

{#-
  calling code, whether a national number starts with the trunk prefix 0, and the pattern of the
  number that follows the calling code
-#}
{% macro numbering_plans() -%}
    {{ return({
        'FR': ['33', true, '[1-9][0-9]{8}'],
        'BE': ['32', true, '[1-9][0-9]{7,8}'],
        'CH': ['41', true, '[1-9][0-9]{8}'],
        'LU': ['352', false, '[2-9][0-9]{5,8}'],
        'DE': ['49', true, '[1-9][0-9]{6,11}'],
        'AT': ['43', true, '[1-9][0-9]{6,11}'],
        'NL': ['31', true, '[1-9][0-9]{8}'],
        'GB': ['44', true, '[1-9][0-9]{8,9}'],
        'IE': ['353', true, '[1-9][0-9]{6,8}'],
        'IT': ['39', false, '[03][0-9]{8,10}'],
        'ES': ['34', false, '[6-9][0-9]{8}'],
        'PT': ['351', false, '[29][0-9]{8}'],
        'BR': ['55', true, '[1-9][0-9]{9,10}'],
        'US': ['1', false, '[2-9][0-9]{9}'],
        'CA': ['1', false, '[2-9][0-9]{9}'],
        'AU': ['61', true, '[1-9][0-9]{8}'],
        'MA': ['212', true, '[5-8][0-9]{8}'],
    }) }}
{%- endmacro %}

{% macro duckdb__normalise_phone(digits, country) -%}
    {%- set plans = cohorte.numbering_plans() -%}
    case
        when {{ digits }} is null or length({{ digits }}) < 6 then null
        when starts_with({{ digits }}, '+')
            then case
                when not regexp_full_match({{ digits }}, '[+][1-9][0-9]{6,14}') then null
                {%- for code in ['33', '32', '41', '31', '44', '49'] %}
                when starts_with({{ digits }}, '+{{ code }}0')
                    then '+{{ code }}' || substr({{ digits }}, {{ code | length + 3 }})
                {%- endfor %}
                else {{ digits }}
            end
        {%- for plan, parts in plans.items() %}
        when {{ country }} = '{{ plan }}'
            then case
                when regexp_full_match({{ digits }}, '{{ '0?' if parts[1] }}{{ parts[2] }}')
                    then '+{{ parts[0] }}' || {{ "ltrim(" ~ digits ~ ", '0')" if parts[1] else digits }}
            end
        {%- endfor %}
    end
{%- endmacro %}
