with records as (
    {{ latest_version('payments', ['order_id', 'payment_number']) }}
)

select
    _source as source,
    order_id,
    payment_number,

    lower({{ clean_text('method') }}) as method,

    installments_count,
    amount,
    paid_at
from records
