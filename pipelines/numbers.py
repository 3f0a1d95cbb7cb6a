"""Customers' numbers: dense, from 0, and kept from run to run.

Segments are sets of bits by number, so every number below the count of customers is somebody's.
Who was known keeps theirs, so that one new customer alters no rows but their own.
"""

from __future__ import annotations

import duckdb

NUMBERS = "built.customer_numbers"


def lay_customer_numbers(work: duckdb.DuckDBPyConnection) -> None:
    """Number the customers of ``marts.customers`` in the build database.

    New customers take the numbers of those gone, then the next ones, in the order of their ids;
    where more are gone than came, those with the highest numbers move into the gaps. In a build
    database begun anew the numbers are the order of ids. What is right already is not written.
    """
    work.execute("create schema if not exists built")
    work.execute(
        f"create table if not exists {NUMBERS} (customer_id varchar, customer_number integer)"
    )
    [(size,)] = work.execute("select count(*) from marts.customers").fetchall()
    [(numbered, staying)] = work.execute(
        f"""
        select count(*), count(*) filter (
            customer_number < $size and customer_id in (select customer_id from marts.customers)
        )
        from {NUMBERS}
        """,
        {"size": size},
    ).fetchall()
    if size == numbered == staying:
        return
    work.execute(
        f"""
        create or replace table {NUMBERS} as
        with staying as (
            select customer_id, customer_number
            from {NUMBERS} semi join marts.customers using (customer_id)
            where customer_number < $size
        ),
        seeking as (
            select customer_id, row_number() over (order by customer_id) as place
            from marts.customers anti join staying using (customer_id)
        ),
        gaps as (
            select customer_number, row_number() over (order by customer_number) as place
            from (select cast(range as integer) as customer_number from range($size))
            anti join staying using (customer_number)
        )
        select customer_id, customer_number from staying
        union all
        select customer_id, customer_number from seeking inner join gaps using (place)
        order by customer_id
        """,
        {"size": size},
    )
