{#- The address that mail is sent to: lower case, no blanks, no `mailto:`; null when it is none. -#}
{% macro normalise_email(expression) -%}
    {{ return(adapter.dispatch('normalise_email', 'cohorte')(expression)) }}
{%- endmacro %}

{% macro default__normalise_email(expression) -%}
    nullif(replace(replace(lower(trim({{ expression }})), 'mailto:', ''), ' ', ''), '')
{%- endmacro %}

{#- Most addresses are clean: the extraction is for the others. -#}
{% macro duckdb__normalise_email(expression) -%}
    {%- set address = "[a-z0-9!#$%&''*+/=?^_`{|}~.-]+@[a-z0-9-]+(?:[.][a-z0-9-]+)*[.][a-z]{2,}" -%}
    case
        when regexp_full_match(lower({{ expression }}), '{{ address }}') then lower({{ expression }})
        else nullif(
            regexp_extract(
                lower({{ expression }}),
                '^[\s<]*(?:mailto:)?({{ address }})[\s>;,.]*$',
                1
            ),
            ''
        )
    end
{%- endmacro %}

{#-
  The key that two spellings of one mailbox share, for matching only: what follows a plus sign is
  dropped where providers ignore it, and so are the dots of Gmail's addresses.
-#}
{% macro email_key(email) -%}
    {{ return(adapter.dispatch('email_key', 'cohorte')(email)) }}
{%- endmacro %}

{% macro default__email_key(email) -%}
    {{ email }}
{%- endmacro %}

{% macro duckdb__email_key(email) -%}
    case
        when {{ email }} like '%@gmail.com' or {{ email }} like '%@googlemail.com'
            then replace(split_part(split_part({{ email }}, '@', 1), '+', 1), '.', '') || '@gmail.com'
        when contains({{ email }}, '+') and regexp_matches(
            {{ email }}, '@(outlook|hotmail|live|icloud|me|fastmail|protonmail|proton|pm)\.'
        )
            then split_part({{ email }}, '+', 1) || '@' || split_part({{ email }}, '@', 2)
        else {{ email }}
    end
{%- endmacro %}
