{{ config(tags=['unify']) }}

select
    cast(surveys.source as {{ dbt.type_string() }}) as source,
    cast(surveys.survey_id as {{ dbt.type_string() }}) as survey_id,
    cast(identity_map.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(surveys.kind as {{ dbt.type_string() }}) as kind,
    cast(surveys.score as {{ dbt.type_bigint() }}) as score,
    cast(surveys.answered_at as {{ dbt.type_timestamp() }}) as answered_at,
    cast(surveys.comment as {{ dbt.type_string() }}) as comment,
    cast(surveys.order_id as {{ dbt.type_string() }}) as order_id,
    cast(surveys.ticket_id as {{ dbt.type_string() }}) as ticket_id
from {{ ref('stg_surveys') }} as surveys
left join {{ source('identity', 'identity_map') }} as identity_map
    on surveys.source = identity_map.source and surveys.contact_id = identity_map.contact_id
