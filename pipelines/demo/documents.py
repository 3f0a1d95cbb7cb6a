"""Sales and returns as the tills and the web shop number them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from pipelines.demo.purchases import NONE, Trade, World
from pipelines.demo.randomness import Generator, Numbers, happens
from pipelines.demo.timeline import Span

SALE, RETURN, CANCELLED = "sale", "return", "cancelled"
_RETURNS, _ROOM = 2**39, 2**40


@dataclass(frozen=True)
class Documents:
    """Tickets, orders and credit notes of one channel in one span, in time order.

    headers: document (row), document_id, person, day, second, shop, kind, cause, credited,
    shows_card, swiss, returned_id. lines: document, line_number, product, quantity, and cents
    unit, discount, net, tax, cost.
    """

    headers: pl.DataFrame
    lines: pl.DataFrame

    @cached_property
    def totals(self) -> pl.DataFrame:
        """Net, tax, discount and cost per document in cents, in the order of the headers."""
        sums = self.lines.group_by("document").agg(pl.col("net", "tax", "discount", "cost").sum())
        return self.headers.select("document").join(
            sums, on="document", how="left", maintain_order="left"
        )


@dataclass
class Register:
    """One channel's numbering, and the returns that are still to come."""

    is_web: bool
    numbered: int = 0
    waiting: list[Documents] = field(default_factory=list)


def _returns(rng: Generator, sales: Documents, share: float) -> Documents:
    """Lines brought back two days to five weeks later, unless the sale was cancelled."""
    kept = sales.headers.filter(pl.col("kind") == SALE).select("document")
    back = sales.lines.filter(pl.Series(happens(rng, share, sales.lines.height))).join(
        kept, on="document", how="semi", maintain_order="left"
    )
    headers = sales.headers.join(
        back.select("document"), on="document", how="semi", maintain_order="left"
    )
    after = 2 + np.minimum(rng.gamma(2.2, 4.5, headers.height), 33).astype(np.int64)
    # Shops are closed on Sundays.
    after += (headers["day"].to_numpy() + after + 3) % 7 == 6
    headers = headers.with_columns(
        returned=pl.col("document"),
        day=pl.col("day") + pl.Series(after),
        second=pl.Series(36_000 + rng.integers(0, 32_000, headers.height)),
        kind=pl.lit(RETURN),
        cause=pl.lit(NONE, dtype=pl.Int64),
        credited=pl.lit(NONE, dtype=pl.Int64),
    )
    flipped = [-pl.col(name) for name in ("quantity", "discount", "net", "tax", "cost")]
    returned = Documents(headers, back.with_columns(flipped))
    return _moved(returned, _RETURNS)


def _moved(documents: Documents, by: int) -> Documents:
    """The same documents under other row numbers, so that they stay apart from others."""
    shifted = pl.col("document") + by
    return Documents(documents.headers.with_columns(shifted), documents.lines.with_columns(shifted))


def _only(documents: Documents, condition: pl.Expr) -> Documents:
    headers = documents.headers.filter(condition)
    lines = documents.lines.join(headers, on="document", how="semi", maintain_order="left")
    return Documents(headers, lines)


def _exchanges(rng: Generator, world: World, returned: Documents) -> Documents:
    """One return in six takes another product of the same category home at once."""
    headers, catalogue = returned.headers, world.catalogue
    swaps = headers.filter(pl.Series(happens(rng, 0.16, headers.height))).select("document")
    first = returned.lines.unique("document", keep="first", maintain_order=True)
    taken = swaps.join(first, on="document", maintain_order="left")
    if not taken.height:
        return returned
    category = catalogue.category[taken["product"].to_numpy()]
    product = catalogue.first_of_category[category] + rng.integers(
        0, catalogue.category_size[category]
    )
    unit = catalogue.price_in(0)[product]
    tax = np.rint(unit * catalogue.vat[product]).astype(np.int64)
    taken = taken.with_columns(
        product=pl.Series(product),
        quantity=pl.lit(1, dtype=pl.Int64),
        unit=pl.Series(unit),
        discount=pl.lit(0, dtype=pl.Int64),
        net=pl.Series(unit),
        tax=pl.Series(tax),
        cost=pl.Series(catalogue.cost[product]),
    )
    lines = pl.concat([returned.lines, taken.select(returned.lines.columns)])
    return Documents(headers, lines)


def _numbered(register: Register, headers: pl.DataFrame) -> pl.Expr:
    """Tickets count within a shop and day; web documents count through the years."""
    if register.is_web:
        prefix = pl.when(pl.col("kind") == RETURN).then(pl.lit("AV")).otherwise(pl.lit("W"))
        year = pl.from_epoch("day", time_unit="d").dt.strftime("%y")
        number = pl.int_range(register.numbered + 1, register.numbered + headers.height + 1)
        return pl.concat_str(prefix, year, pl.lit("-"), number.cast(pl.String).str.zfill(8))
    within = pl.int_range(1, pl.len() + 1).over("shop", "day")
    return pl.concat_str(
        (pl.col("shop") + 1).cast(pl.String).str.zfill(2),
        pl.from_epoch("day", time_unit="d").dt.strftime("-%y%m%d-"),
        within.cast(pl.String).str.zfill(4),
    )


def make_documents(
    register: Register, world: World, span: Span, sold: Trade, credit: Numbers
) -> Documents:
    """The channel's documents of a span: its sales, and the returns that fall due in it."""
    rng = world.dice.of("documents", span.label, span.start.day, str(register.is_web))
    orders = sold.orders.with_columns(credited=pl.Series(credit)).with_row_index("order")
    mine = orders.filter(pl.col("is_web") == register.is_web)
    cancelled = happens(rng, 0.025 if register.is_web else 0.004, mine.height)
    headers = mine.select(
        pl.col("order").cast(pl.Int64).alias("document"),
        "person",
        "day",
        "second",
        "shop",
        pl.Series("kind", np.where(cancelled, CANCELLED, SALE)),
        "cause",
        "credited",
        "shows_card",
        "swiss",
        pl.lit(None, dtype=pl.Int64).alias("returned"),
        pl.lit(None, dtype=pl.String).alias("returned_id"),
    )
    lines = sold.lines.rename({"order": "document"}).join(
        headers.select("document"), on="document", how="semi", maintain_order="left"
    )
    sales = Documents(headers, lines)
    back = _returns(rng, sales, 0.060 if register.is_web else 0.032)
    if not register.is_web:
        back = _exchanges(rng, world, back)
    open_returns = [back, *(_moved(old, (n + 1) * _ROOM) for n, old in enumerate(register.waiting))]
    is_due = pl.col("day") < span.first_day + span.days
    due = [sales, *(_only(part, is_due) for part in open_returns)]
    headers = pl.concat(part.headers for part in due).sort("day", "second", "shop", "document")
    headers = headers.with_columns(
        document_id=_numbered(register, headers), place=pl.int_range(pl.len())
    )
    register.numbered += headers.height if register.is_web else 0
    names = headers.select(returned="document", known_id="document_id")

    def with_origin(some: pl.DataFrame) -> pl.DataFrame:
        """Returns of this span's sales learn the number of what they return."""
        return (
            some.join(names, on="returned", how="left", maintain_order="left")
            .with_columns(returned_id=pl.coalesce("returned_id", "known_id"))
            .drop("known_id")
        )

    register.waiting = [
        Documents(
            with_origin(part.headers).with_columns(returned=pl.lit(None, dtype=pl.Int64)),
            part.lines,
        )
        for part in (_only(part, ~is_due) for part in open_returns)
        if part.headers.height
    ]
    lines = (
        pl.concat(part.lines for part in due)
        .with_row_index("row")
        .join(headers.select("document", "place"), on="document")
        .sort("place", "row")
        .with_columns(line_number=pl.int_range(1, pl.len() + 1).over("place"))
        .drop("document", "row")
        .rename({"place": "document"})
    )
    headers = with_origin(headers).drop("document", "returned").rename({"place": "document"})
    return Documents(headers, lines)
