"""A work database of customers who order at rates of their own, and the SQL of their features."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import numpy as np
import polars as pl

from models.asof import MARK

FIRST = date(2025, 1, 1)
AS_OF = date(2026, 6, 30)

_DAY = f"cast('{MARK.isoformat()}' as date)"

FEATURES_SQL = f"""
select
    customers.customer_id, row_number() over (order by customers.customer_id) - 1 as
        customer_number, {_DAY} as as_of,
    min(order_date) as first_order_date, max(order_date) as last_order_date,
    {_DAY} - max(order_date) as days_since_last_order,
    count(order_date) as lifetime_orders_count,
    count(order_date) filter (order_date > {_DAY} - 90) as orders_count_90d,
    any_value(channel) as favourite_channel,
    cast(null as timestamp) as last_interaction_at,
    case when max(spoiled_at) <= {_DAY} then 1 end as spoiled
from marts.customers
left join marts.orders
    on customers.customer_id = orders.customer_id and order_date <= {_DAY}
group by customers.customer_id
"""
"""As customer_features is: nothing dated after the day enters."""


def work_database(customers: int = 500, seed: int = 0) -> duckdb.DuckDBPyConnection:
    """Customers known from the start, who order until the end of September 2026."""
    random = np.random.default_rng(seed)
    days = (date(2026, 9, 30) - FIRST).days
    rates = random.gamma(0.7, 1 / 60, customers)
    rows = []
    for number, rate in enumerate(rates):
        channel = "web" if random.random() < 0.5 else "shop"
        count = random.poisson(rate * days)
        for day in sorted(random.integers(0, days, count).tolist()):
            rows.append((f"C{number:05d}", FIRST + timedelta(days=day), channel))
    orders = pl.DataFrame(
        rows,
        schema={"customer_id": pl.String, "order_date": pl.Date, "channel": pl.String},
        orient="row",
    )
    people = pl.DataFrame({"customer_id": [f"C{n:05d}" for n in range(customers)]})
    con = duckdb.connect()
    con.execute("create schema marts")
    con.register("_orders", orders.to_arrow())
    con.register("_people", people.to_arrow())
    con.execute(
        "create table marts.orders as"
        " select *, true as is_order, cast(null as date) as spoiled_at from _orders"
    )
    con.execute(f"""
        create table marts.customers as
        select *, date '{FIRST}' as created_date,
            if(customer_id < 'C00250', 'Paris', 'Lyon') as city
        from _people
    """)
    con.execute("""
        create table marts.activities as
        select people.number::integer as customer_number, 'order' as kind,
            order_date as activity_date, order_date::timestamp as occurred_at, 'shop' as source,
            (row_number() over ())::varchar as record_id, channel,
            null::varchar as campaign_id, null::varchar as subject, null::varchar as category,
            null::varchar as product_id, null::varchar as product_name,
            10.0::decimal(18, 4) as amount, 1.0::decimal(18, 4) as quantity,
            null::bigint as score
        from marts.orders inner join (
            select customer_id, row_number() over (order by customer_id) - 1 as number
            from marts.customers
        ) as people using (customer_id)
    """)
    return con
