{{ config(tags=['unify']) }}

-- Accounts that are one organisation, with each value of the most trusted account that has it.
with members as (
    select
        map.organisation_id,
        accounts.*,
        parents.organisation_id as parent_organisation_id,
        coalesce(published.contacts_count, 0) as contacts_count,
        row_number() over (
            order by
                coalesce(declared.trust, 9) asc,
                coalesce(accounts.updated_at, accounts.created_at) desc nulls last,
                accounts.source asc,
                accounts.account_id asc
        ) as belief_rank
    from {{ source('identity', 'organisations') }} as map
    inner join {{ ref('stg_accounts') }} as accounts
        on map.source = accounts.source and map.account_id = accounts.account_id
    left join {{ ref('accounts') }} as published
        on map.source = published.source and map.account_id = published.account_id
    left join {{ source('identity', 'organisations') }} as parents
        on
            accounts.source = parents.source
            and accounts.parent_account_id = parents.account_id
            and map.organisation_id <> parents.organisation_id
    left join {{ ref('stg_sources') }} as declared on accounts.source = declared.source
)

select
    cast(organisation_id as {{ dbt.type_string() }}) as organisation_id,
    cast({{ value_at_least('account_name', 'belief_rank') }} as {{ dbt.type_string() }})
        as organisation_name,
    cast(
        {{ value_at_least(
            'legal_id', 'case when legal_id is not null then belief_rank end'
        ) }} as {{ dbt.type_string() }}
    ) as legal_id,
    cast(
        {{ value_at_least(
            'vat_number', 'case when vat_number is not null then belief_rank end'
        ) }} as {{ dbt.type_string() }}
    ) as vat_number,
    cast(
        {{ value_at_least('domain', 'case when domain is not null then belief_rank end') }}
        as {{ dbt.type_string() }}
    ) as domain,
    cast(
        {{ value_at_least('city', 'case when city is not null then belief_rank end') }}
        as {{ dbt.type_string() }}
    ) as city,
    cast(
        {{ value_at_least(
            'parent_organisation_id',
            'case when parent_organisation_id is not null then belief_rank end'
        ) }} as {{ dbt.type_string() }}
    ) as parent_organisation_id,
    cast(count(*) as {{ dbt.type_bigint() }}) as accounts_count,
    cast(sum(contacts_count) as {{ dbt.type_bigint() }}) as contacts_count,
    cast({{ list_of('source') }} as {{ dbt.type_string() }}) as sources
from members
group by organisation_id
