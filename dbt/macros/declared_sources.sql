{#-
  The sources as the workspace declares them, one row each. A source that has rows but is no
  longer declared keeps its rows, with the least trust and the workspace's currency.
-#}
{% macro declared_sources() -%}
    {%- for declared in var('sources') %}
    select
        cast('{{ declared.source }}' as {{ dbt.type_string() }}) as source,
        cast({{ declared.trust }} as {{ dbt.type_bigint() }}) as trust,
        cast('{{ declared.currency_code }}' as {{ dbt.type_string() }}) as currency_code,
        cast('{{ declared.country_code }}' as {{ dbt.type_string() }}) as country_code
    {{ 'union all' }}
    {%- endfor %}
    select
        cast(null as {{ dbt.type_string() }}) as source,
        cast(null as {{ dbt.type_bigint() }}) as trust,
        cast(null as {{ dbt.type_string() }}) as currency_code,
        cast(null as {{ dbt.type_string() }}) as country_code
    where false
{%- endmacro %}
