{{ config(tags=['unify']) }}

select
    cast(links.source_a as {{ dbt.type_string() }}) as source_a,
    cast(links.contact_a as {{ dbt.type_string() }}) as account_a,
    cast(one.organisation_id as {{ dbt.type_string() }}) as organisation_a,
    cast(links.source_b as {{ dbt.type_string() }}) as source_b,
    cast(links.contact_b as {{ dbt.type_string() }}) as account_b,
    cast(other.organisation_id as {{ dbt.type_string() }}) as organisation_b,
    cast(links.link_rule as {{ dbt.type_string() }}) as link_rule,
    cast(links.status as {{ dbt.type_string() }}) as status,
    cast(links.reason as {{ dbt.type_string() }}) as reason,
    cast(links.match_weight as {{ double_type() }}) as match_weight,
    cast(links.match_probability as {{ double_type() }}) as match_probability,
    cast(links.evidence as {{ dbt.type_string() }}) as evidence
from {{ source('identity', 'organisation_links') }} as links
inner join {{ source('identity', 'organisations') }} as one
    on links.source_a = one.source and links.contact_a = one.account_id
inner join {{ source('identity', 'organisations') }} as other
    on links.source_b = other.source and links.contact_b = other.account_id
