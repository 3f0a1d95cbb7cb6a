{{ config(tags=['unify']) }}

select
    cast(links.source_a as {{ dbt.type_string() }}) as source_a,
    cast(links.contact_a as {{ dbt.type_string() }}) as contact_a,
    cast(one.customer_id as {{ dbt.type_string() }}) as customer_a,
    cast(links.source_b as {{ dbt.type_string() }}) as source_b,
    cast(links.contact_b as {{ dbt.type_string() }}) as contact_b,
    cast(other.customer_id as {{ dbt.type_string() }}) as customer_b,
    cast(links.link_rule as {{ dbt.type_string() }}) as link_rule,
    cast(links.status as {{ dbt.type_string() }}) as status,
    cast(links.reason as {{ dbt.type_string() }}) as reason,
    cast(links.match_weight as {{ double_type() }}) as match_weight,
    cast(links.match_probability as {{ double_type() }}) as match_probability,
    cast(links.evidence as {{ dbt.type_string() }}) as evidence
from {{ source('identity', 'edges') }} as links
inner join {{ source('identity', 'identity_map') }} as one
    on links.source_a = one.source and links.contact_a = one.contact_id
inner join {{ source('identity', 'identity_map') }} as other
    on links.source_b = other.source and links.contact_b = other.contact_id
