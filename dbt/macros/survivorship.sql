{#-
  What a customer's values may be chosen by, where `cohorte.yml` declares a rule: when a record has
  one, what makes two of them equal, and how complete it is.
-#}
{% macro survivor_fields() -%}
    {{ return({
        "name": {
            "known": "full_name_key is not null",
            "value": "full_name_key",
            "completeness": "length(full_name_key)",
        },
        "email": {"known": "email_address is not null", "value": "email_address"},
        "phone": {
            "known": "phone_key is not null or phone is not null",
            "value": "coalesce(phone_key, phone)",
            "completeness": "case when phone_key is not null then 1 else 0 end",
        },
        "address": {
            "known": "postcode is not null or city is not null",
            "value": "concat_ws(' ', address_line, postcode, city)",
            "completeness": "case when address_line is not null then 2 else 0 end"
            ~ " + case when postcode is not null then 1 else 0 end"
            ~ " + case when city is not null then 1 else 0 end",
        },
        "birth_date": {"known": "birth_date is not null", "value": "birth_date"},
        "gender": {"known": "gender is not null", "value": "gender"},
        "language": {"known": "language is not null", "value": "language"},
        "company": {
            "known": "company_name is not null",
            "value": "company_name",
            "completeness": "length(company_name)",
        },
    }) }}
{%- endmacro %}

{#- The rules declared, for fields that are not chosen by trust. -#}
{% macro survivorship_declared() -%}
    {%- set declared = {} -%}
    {%- for field, rule in var('survivorship').items() if rule != 'most_trusted' -%}
        {%- do declared.update({field: rule}) -%}
    {%- endfor -%}
    {{ return(declared) }}
{%- endmacro %}

{#- The record that a field is taken from: by the rule declared, else by what is given. -#}
{% macro survivor(field, otherwise) -%}
    {%- if field in survivorship_declared() -%}
    min(case when {{ field }}_order = 1 and ({{ survivor_fields()[field].known }}) then belief_rank end)
    {%- else -%}
    {{ otherwise }}
    {%- endif -%}
{%- endmacro %}

{#- For fields taken from the most frequent value: how many records of the customer have each. -#}
{% macro survivor_frequencies() -%}
    {%- for field, rule in survivorship_declared().items() if rule == 'most_frequent' -%}
    , count(*) over (partition by customer_id, {{ survivor_fields()[field].value }})
        as {{ field }}_frequency
    {%- endfor -%}
{%- endmacro %}

{#- For fields with a rule: the place of each record of the customer, the first to be taken. -#}
{% macro survivor_orders() -%}
    {%- for field, rule in survivorship_declared().items() -%}
    {%- set about = survivor_fields()[field] %}
    , row_number() over (
        partition by customer_id
        order by
            case when {{ about.known }} then 0 else 1 end,
            {% if rule == 'most_recent' -%}
            coalesce(updated_at, created_at) desc nulls last,
            {%- elif rule == 'most_frequent' -%}
            {{ field }}_frequency desc,
            {%- elif about.completeness is defined -%}
            {{ about.completeness }} desc,
            {%- endif %}
            belief_rank
    ) as {{ field }}_order
    {%- endfor -%}
{%- endmacro %}
