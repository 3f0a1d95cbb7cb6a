"""Online Retail as ``marts.orders``: both years, the double delivery counted once."""

from __future__ import annotations

from pathlib import Path

import duckdb

FIRST_YEAR = """
    select invoice::varchar as invoice, quantity::integer as quantity,
        invoicedate::timestamp as sold_at, price::double as price, customerid::bigint as customer
    from read_parquet('{folder}/online_retail_II_year2009_2010.parquet')
"""
BOTH_YEARS = (
    FIRST_YEAR
    + """
    union all
    select invoiceno, quantity::integer, invoicedate::timestamp, unitprice::double,
        try_cast(try_cast(customerid as double) as bigint)
    from read_csv('{folder}/by-day/*.csv', all_varchar = true)
    where invoiceno not in (
        select invoice::varchar from read_parquet('{folder}/online_retail_II_year2009_2010.parquet')
    )
"""
)


def orders(data: Path, *, both_years: bool) -> duckdb.DuckDBPyConnection:
    """A work database that holds the invoices of known customers."""
    con = duckdb.connect(config={"threads": 1})
    con.execute("create schema marts")
    lines = (BOTH_YEARS if both_years else FIRST_YEAR).format(folder=data / "online_retail")
    con.execute(f"""
        create table marts.orders as
        select customer::varchar as customer_id, min(sold_at)::date as order_date,
            'completed' as status, sum(quantity * price) > 0 as is_order,
            sum(quantity * price)::decimal(18, 4) as reporting_net_amount
        from ({lines}) where customer is not null group by customer, invoice
    """)
    return con
