{{ config(tags=['unify'], meta={'by_customer': 'source, order_id'}) }}

select
    cast(payments.source as {{ dbt.type_string() }}) as source,
    cast(payments.order_id as {{ dbt.type_string() }}) as order_id,
    cast(payments.payment_number as {{ dbt.type_string() }}) as payment_number,
    cast(orders.customer_id as {{ dbt.type_string() }}) as customer_id,
    cast(payments.method as {{ dbt.type_string() }}) as method,
    cast(payments.installments_count as {{ dbt.type_bigint() }}) as installments_count,
    cast(payments.amount as {{ amount_type() }}) as amount,
    cast(payments.paid_at as {{ dbt.type_timestamp() }}) as paid_at
from {{ ref('stg_payments') }} as payments
left join {{ ref('int_orders__identified') }} as orders
    on payments.source = orders.source and payments.order_id = orders.order_id
