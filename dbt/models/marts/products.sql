{{ config(tags=['unify']) }}

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(product_id as {{ dbt.type_string() }}) as product_id,
    cast(product_name as {{ dbt.type_string() }}) as product_name,
    cast(category as {{ dbt.type_string() }}) as category,
    cast(brand as {{ dbt.type_string() }}) as brand,
    cast(unit_price as {{ amount_type() }}) as unit_price,
    cast(unit_cost as {{ amount_type() }}) as unit_cost,
    cast(is_active as {{ dbt.type_boolean() }}) as is_active
from {{ ref('stg_products') }}
