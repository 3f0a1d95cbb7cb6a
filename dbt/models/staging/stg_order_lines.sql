-- Lines with a number are versions of one line; lines without are told apart by count.
with numbered as (
    {{ latest_version('order_lines', ['order_id', 'line_number'], 'line_number is not null') }}
),

unnumbered as (
    {{ distinct_rows('order_lines', 'line_number is null') }}
),

-- Unnumbered lines are numbered by content, after those of the same order that have a number.
highest as (
    select _source, order_id, max(line_number) as line_number
    from numbered
    where
        exists (
            select 1
            from unnumbered
            where unnumbered._source = numbered._source and unnumbered.order_id = numbered.order_id
        )
    group by _source, order_id
),

records as (
    select
        _source,
        order_id,
        line_number,
        product_id,
        product_name,
        quantity,
        unit_price,
        discount_amount,
        tax_amount,
        shipping_amount,
        net_amount,
        unit_cost
    from numbered
    union all
    select
        unnumbered._source,
        unnumbered.order_id,
        coalesce(highest.line_number, 0) + row_number() over (
            partition by {{ key_hash(['unnumbered._source', 'unnumbered.order_id']) }}
            order by unnumbered._row_hash, unnumbered._occurrence
        ) as line_number,
        unnumbered.product_id,
        unnumbered.product_name,
        unnumbered.quantity,
        unnumbered.unit_price,
        unnumbered.discount_amount,
        unnumbered.tax_amount,
        unnumbered.shipping_amount,
        unnumbered.net_amount,
        unnumbered.unit_cost
    from unnumbered
    left join highest
        on unnumbered._source = highest._source and unnumbered.order_id = highest.order_id
)

select
    _source as source,
    order_id,
    line_number,
    product_id,

    trim(product_name) as product_name,

    quantity,
    unit_price,
    discount_amount,
    tax_amount,
    shipping_amount,
    cast(coalesce(net_amount, {{ line_amount() }}) as {{ amount_type() }}) as net_amount,
    unit_cost
from records
