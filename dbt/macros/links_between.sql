{#- The links of a table of pairs, with the entity that each of the two records is now part of. -#}
{%- macro links_between(edges, members, record, entity) -%}
    select
        cast(links.source_a as {{ dbt.type_string() }}) as source_a,
        cast(links.contact_a as {{ dbt.type_string() }}) as {{ record }}_a,
        cast(one.{{ entity }}_id as {{ dbt.type_string() }}) as {{ entity }}_a,
        cast(links.source_b as {{ dbt.type_string() }}) as source_b,
        cast(links.contact_b as {{ dbt.type_string() }}) as {{ record }}_b,
        cast(other.{{ entity }}_id as {{ dbt.type_string() }}) as {{ entity }}_b,
        cast(links.link_rule as {{ dbt.type_string() }}) as link_rule,
        cast(links.status as {{ dbt.type_string() }}) as status,
        cast(links.reason as {{ dbt.type_string() }}) as reason,
        cast(links.match_weight as {{ double_type() }}) as match_weight,
        cast(links.match_probability as {{ double_type() }}) as match_probability,
        cast(links.evidence as {{ dbt.type_string() }}) as evidence
    from {{ source('identity', edges) }} as links
    inner join {{ source('identity', members) }} as one
        on links.source_a = one.source and links.contact_a = one.{{ record }}_id
    inner join {{ source('identity', members) }} as other
        on links.source_b = other.source and links.contact_b = other.{{ record }}_id
{%- endmacro -%}
