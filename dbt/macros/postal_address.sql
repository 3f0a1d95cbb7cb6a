{#- An address on one line, as `12 rue des Lilas, 75011 Paris`. -#}
{% macro postal_address() -%}
    concat_ws(', ', address_line, nullif(concat_ws(' ', postcode, city), ''))
{%- endmacro %}
