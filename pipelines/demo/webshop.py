"""The web shop: customers and orders as nested JSON lines, its catalogue, rates and zones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.demo import slips
from pipelines.demo.campaigns import Campaign
from pipelines.demo.catalogue import Catalogue
from pipelines.demo.columns import either
from pipelines.demo.documents import CANCELLED, RETURN, Documents
from pipelines.demo.people import NEVER, People
from pipelines.demo.places import Places
from pipelines.demo.randomness import Dice, Numbers, happens, weighted
from pipelines.demo.shops import Cards
from pipelines.demo.timeline import (
    Span,
    as_date,
    draw_seconds,
    euros,
    iso_with_zone,
    local_time,
)
from pipelines.demo.truth import Truth
from pipelines.demo.writers import write_csv, write_json_lines

SOURCE = "webshop"
_SHIPPING = 408
_FREE_FROM = 5_000
_SHIPPING_TAX = 82


@dataclass(frozen=True)
class WebAccounts:
    """One row an account, oldest first: its person (−1 for a test), id, e-mail and day.

    ``first`` and ``second`` give each person's accounts as rows, −1 without one.
    """

    person: Numbers
    account_id: pl.Series
    email: pl.Series
    day: Numbers
    first: Numbers
    second: Numbers

    @property
    def count(self) -> int:
        return len(self.person)


def build_accounts(dice: Dice, people: People, today: int) -> WebAccounts:
    """An account for everybody who buys there, a second for one in forty who forgot the first."""
    rng = dice.of("accounts")
    holders = np.flatnonzero(people.web_day != NEVER)
    again = holders[happens(rng, 0.025, len(holders))]
    again_day = people.web_day[again] + rng.integers(90, 900, len(again))
    again, again_day = again[again_day <= today], again_day[again_day <= today]
    tests = 2 if len(holders) > 200 else 0
    person = np.concatenate([holders, again, np.full(tests, -1)])
    day = np.concatenate([people.web_day[holders], again_day, np.full(tests, today - 800)])
    is_second = np.concatenate([np.zeros(len(holders)), np.ones(len(again)), np.zeros(tests)]) > 0
    order = np.lexsort((person, day))
    person, day, is_second = person[order], day[order], is_second[order]
    rows, who = np.arange(len(person)), np.maximum(person, 0)
    first, second = np.full(people.count, -1), np.full(people.count, -1)
    known = person >= 0
    first[person[known & ~is_second]] = rows[known & ~is_second]
    second[person[known & is_second]] = rows[known & is_second]
    one = people.frame.select(pl.col("email", "other_email").gather(who))
    typed = slips.recased(slips.mistyped(one["email"], rng, 0.004), rng, upper=0.015, lower=0)
    email = pl.select(
        pl.when(pl.Series(~known))
        .then(pl.lit("test@maison-vernelle.example"))
        .when(pl.Series(is_second))
        .then(one["other_email"])
        .otherwise(typed)
    ).to_series()
    account_id = pl.select(pl.format("C{}", pl.Series(rows + 10_001))).to_series()
    return WebAccounts(person, account_id, email, day, first, second)


def accounts_used(
    rng: np.random.Generator, accounts: WebAccounts, person: Numbers, day: Numbers
) -> Numbers:
    """The account each order was placed with: the second one half the time once it exists."""
    first, second = accounts.first[person], accounts.second[person]
    newer = (second >= 0) & (accounts.day[second] <= day) & happens(rng, 0.5, len(person))
    return np.where(newer, second, first)


def write_customers(
    dice: Dice,
    people: People,
    places: Places,
    accounts: WebAccounts,
    cards: Cards,
    company_of: dict[int, str],
    until: date,
    today: int,
    folder: Path,
    truth: Truth,
) -> None:
    """One file a year: accounts made or changed in it, each as it stood at the year's end."""
    if not accounts.count:
        return
    rng = dice.of("accounts", "typed")
    count, who = accounts.count, np.maximum(accounts.person, 0)
    frame = people.frame.with_columns(
        birth_date=pl.Series(people.birth_day.astype(np.int32)).cast(pl.Date)
    )
    one = frame.select(pl.all().gather(who))
    first = slips.mistyped(slips.shortened(one["first_name"], rng, 0.03), rng, 0.012)
    last = slips.mistyped(one["last_name"], rng, 0.012)
    first, last = slips.swapped(first, last, rng, 0.008)
    first = slips.recased(slips.unaccented(first, rng, 0.10), rng, upper=0.03, lower=0.08)
    last = slips.recased(slips.unaccented(last, rng, 0.10), rng, upper=0.10, lower=0.07)
    updates = happens(rng, 0.6, count)
    card = cards.first[who] if cards.count else np.full(count, -1)
    has_card = (card >= 0) & (accounts.person >= 0) & happens(rng, 0.22, count)
    organisation = pl.Series(accounts.person).replace_strict(
        company_of, default=None, return_dtype=pl.String
    )
    second = draw_seconds(rng, count, web=True)
    base = pl.DataFrame(
        {
            "row": np.arange(count),
            "id": accounts.account_id,
            "email": accounts.email,
            "civility": either(one["gender"] == "F", "mrs", "mr"),
            "first_name": first,
            "last_name": last,
            "former_last_name": pl.select(pl.coalesce(one["former_last_name"], last)).to_series(),
            "phone": either(
                happens(rng, 0.72, count),
                slips.with_placeholders(
                    slips.written_phones(one["mobile"], rng),
                    rng,
                    0.004,
                    slips.PLACEHOLDER_PHONES,
                ),
            ),
            "birth_date": either(
                happens(rng, 0.27, count), slips.written_birth_dates(one["birth_date"], rng)
            ).dt.strftime("%Y-%m-%d"),
            "company": organisation,
            "loyalty_card": either(
                has_card,
                cards.number.gather(np.maximum(card, 0)) if cards.count else pl.lit(None),
            ),
            "newsletter": happens(rng, 0.62, count),
            "is_test": accounts.person < 0,
            "street": slips.written_addresses(one["address_line"], rng),
            "former_street": slips.written_addresses(
                pl.select(pl.coalesce(one["former_address_line"], one["address_line"])).to_series(),
                rng,
            ),
            "created_day": accounts.day,
            "moved_day": people.moved_day[who],
            "married_day": people.married_day[who],
            "updates": updates,
            "place": people.place[who],
            "former_place": people.former_place[who],
            "second": second,
        }
    ).with_columns(
        changed_day=pl.when(
            pl.col("updates")
            & (pl.min_horizontal("moved_day", "married_day") > pl.col("created_day"))
        )
        .then(pl.min_horizontal("moved_day", "married_day") + 12)
        .otherwise(NEVER)
    )
    truth.add_records(SOURCE, "contacts", accounts.account_id, accounts.person)
    started = as_date(accounts.day.min())
    previous = -NEVER
    for year in range(max(started.year, until.year - 3), until.year + 1):
        end = min((date(year + 1, 1, 1) - date(1970, 1, 1)).days, today + 1)
        created = pl.col("created_day").is_between(previous, end, closed="left")
        changed = pl.col("changed_day").is_between(previous, end, closed="left")
        part = base.filter(created | changed).sort("created_day", "row")
        if part.height:
            write_json_lines(
                _customer_documents(part, places, end), folder / f"customers_{year}.jsonl"
            )
        previous = end


def _customer_documents(part: pl.DataFrame, places: Places, end: int) -> pl.DataFrame:
    """Accounts as they stood on the day before ``end``."""
    has_changed = pl.col("changed_day") < end
    old_home = pl.col("moved_day").ne(NEVER) & (pl.col("created_day") < pl.col("moved_day"))
    old_home = old_home & ~(has_changed & (pl.col("moved_day") <= pl.col("changed_day")))
    unmarried = pl.col("married_day").ne(NEVER) & (pl.col("created_day") < pl.col("married_day"))
    unmarried = unmarried & ~(has_changed & (pl.col("married_day") <= pl.col("changed_day")))
    part = part.with_columns(
        place=pl.when(old_home).then("former_place").otherwise("place"),
        street=pl.when(old_home).then("former_street").otherwise("street"),
        last_name=pl.when(unmarried).then("former_last_name").otherwise("last_name"),
        updated_day=pl.when(has_changed).then("changed_day").otherwise("created_day"),
    )
    where = places.frame.select("postcode", "city", "country_code").select(
        pl.all().gather(part["place"])
    )
    made = local_time(part["created_day"].to_numpy(), part["second"].to_numpy())
    changed = local_time(part["updated_day"].to_numpy(), part["second"].to_numpy())
    return part.hstack(where).select(
        "id",
        iso_with_zone(pl.lit(made)).alias("created_at"),
        iso_with_zone(pl.lit(changed)).alias("updated_at"),
        "email",
        "civility",
        "first_name",
        "last_name",
        "phone",
        "birth_date",
        "company",
        "loyalty_card",
        "newsletter",
        "is_test",
        pl.struct(
            "street",
            pl.col("postcode").alias("zip"),
            "city",
            pl.col("country_code").alias("country"),
        ).alias("address"),
    )


def franc_rate(day: date) -> float:
    """Euros for a Swiss franc, as the company fixed it for the month."""
    months = (day.year - 2023) * 12 + day.month - 1
    return round(1.03 + 0.0011 * months + 0.006 * ((months * 7) % 5 - 2), 4)


@dataclass
class OrderBook:
    """Orders exported before they had arrived, to be exported again."""

    unfinished: list[pl.DataFrame] = field(default_factory=list)


def _order_documents(
    documents: Documents,
    used: Numbers,
    accounts: WebAccounts,
    catalogue: Catalogue,
    campaigns: list[Campaign],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Orders and credit notes with everything that will ever be known of them."""
    headers, count = documents.headers, documents.headers.height
    totals = documents.totals
    is_back = (headers["kind"] == RETURN).to_numpy()
    is_cancelled = (headers["kind"] == CANCELLED).to_numpy()
    net = totals["net"].to_numpy()
    ships = (net < _FREE_FROM) & ~is_back
    shipping, tax = np.where(ships, _SHIPPING, 0), totals["tax"].to_numpy() + ships * _SHIPPING_TAX
    total = net + shipping + tax
    day, second = headers["day"].to_numpy(), headers["second"].to_numpy()
    voucher = (total > 4_000) & ~is_back & happens(rng, 0.04, count)
    method = pl.Series(["card", "wallet", "card_installments", "transfer"]).gather(
        np.where(
            (total > 15_000) & happens(rng, 0.4, count),
            2,
            weighted(rng, np.array([78, 20, 0, 2]), count),
        )
    )
    names = pl.Series([campaign.campaign_id for campaign in campaigns] or [""])
    credited = headers["credited"].to_numpy()
    shipped_day = day + 1 + rng.integers(0, 3, count)
    delivered_day = shipped_day + 1 + rng.poisson(1.6, count)
    product = documents.lines["product"].to_numpy()
    lines = (
        documents.lines.select(
            "document",
            pl.struct(
                pl.col("line_number").alias("n"),
                catalogue.frame["sku"].gather(product).alias("sku"),
                catalogue.frame["product_name"].gather(product).alias("title"),
                pl.col("quantity").alias("qty"),
                euros(documents.lines["unit"]).alias("unit_price"),
                euros(documents.lines["discount"]).alias("discount"),
                euros(documents.lines["net"]).alias("net"),
                euros(documents.lines["tax"]).alias("tax"),
            ).alias("lines"),
        )
        .group_by("document", maintain_order=True)
        .agg("lines")
    )
    made = local_time(day, second)
    paid_at = iso_with_zone(pl.lit(local_time(day, np.minimum(second + 45, 86_399))))
    payment = pl.struct(
        pl.lit(1).alias("n"),
        method.alias("method"),
        pl.Series(np.where((method == "card_installments").to_numpy(), 3, 1)).alias("installments"),
        euros(total - 2_000 * voucher).alias("amount"),
        paid_at.alias("paid_at"),
    )
    by_voucher = pl.struct(
        pl.lit(2).alias("n"),
        pl.lit("voucher").alias("method"),
        pl.lit(1, dtype=pl.Int64).alias("installments"),
        pl.lit(20.0).alias("amount"),
        paid_at.alias("paid_at"),
    )
    frame = headers.select(
        pl.col("document_id").alias("id"),
        pl.when(pl.Series(is_back)).then(pl.lit("refund")).otherwise(pl.lit("order")).alias("type"),
        iso_with_zone(pl.lit(made)).alias("created_at"),
        pl.struct(
            accounts.account_id.gather(used).alias("id"), accounts.email.gather(used).alias("email")
        ).alias("customer"),
        pl.when("swiss").then(pl.lit("CHF")).otherwise(pl.lit("EUR")).alias("currency"),
        pl.col("returned_id").alias("refund_of"),
        pl.when(pl.Series(credited >= 0))
        .then(names.gather(np.maximum(credited, 0)))
        .alias("utm_campaign"),
        pl.struct(
            euros(net).alias("items"),
            euros(totals["discount"]).alias("discount"),
            euros(shipping).alias("shipping"),
            euros(tax).alias("tax"),
            euros(total).alias("total"),
        ).alias("amounts"),
        pl.when(pl.Series(is_cancelled))
        .then(pl.concat_list(payment).list.head(0))
        .when(pl.Series(voucher))
        .then(pl.concat_list(payment, by_voucher))
        .otherwise(pl.concat_list(payment))
        .alias("payments"),
        pl.Series("is_cancelled", is_cancelled),
        pl.Series("is_back", is_back),
        "document",
        "day",
        "second",
        pl.Series("shipped_day", shipped_day),
        pl.Series("delivered_day", delivered_day),
    )
    return frame.join(lines, on="document", how="left", maintain_order="left")


def write_orders(
    documents: Documents,
    accounts: WebAccounts,
    catalogue: Catalogue,
    campaigns: list[Campaign],
    span: Span,
    dice: Dice,
    folder: Path,
    book: OrderBook,
) -> Numbers:
    """The month's orders as they stand at its end, and last month's that have moved since.

    Returns the account (a row of ``accounts``) of each document.
    """
    rng = dice.of("web orders", span.label, span.start.day)
    headers = documents.headers
    used = accounts_used(rng, accounts, headers["person"].to_numpy(), headers["day"].to_numpy())
    whole = list(book.unfinished)
    if headers.height:
        whole.append(_order_documents(documents, used, accounts, catalogue, campaigns, rng))
    if not whole:
        return used
    orders = pl.concat(whole)
    end = span.first_day + span.days
    arrived = pl.col("is_cancelled") | pl.col("is_back") | (pl.col("delivered_day") < end)
    book.unfinished = [orders.filter(~arrived)]
    moment = {
        name: local_time(
            orders[name].to_numpy(), np.minimum(orders["second"].to_numpy() + 3_600, 86_000)
        )
        for name in ("shipped_day", "delivered_day")
    }
    cancelled_at = local_time(
        orders["day"].to_numpy(), np.minimum(orders["second"].to_numpy() + 5_400, 86_399)
    )
    delivered = ~pl.col("is_cancelled") & ~pl.col("is_back") & (pl.col("delivered_day") < end)
    shipped = ~pl.col("is_cancelled") & ~pl.col("is_back") & (pl.col("shipped_day") < end)
    write_json_lines(
        orders.select(
            "id",
            "type",
            pl.when("is_cancelled")
            .then(pl.lit("cancelled"))
            .when("is_back")
            .then(pl.lit("refunded"))
            .when(delivered)
            .then(pl.lit("delivered"))
            .when(shipped)
            .then(pl.lit("shipped"))
            .otherwise(pl.lit("processing"))
            .alias("status"),
            "created_at",
            pl.when("is_cancelled")
            .then(iso_with_zone(pl.lit(cancelled_at)))
            .when(delivered)
            .then(iso_with_zone(pl.lit(moment["delivered_day"])))
            .when(shipped)
            .then(iso_with_zone(pl.lit(moment["shipped_day"])))
            .otherwise("created_at")
            .alias("updated_at"),
            "customer",
            "currency",
            "refund_of",
            "utm_campaign",
            "amounts",
            "lines",
            "payments",
            pl.when(delivered)
            .then(iso_with_zone(pl.lit(moment["delivered_day"])))
            .alias("delivered_at"),
            pl.when("is_cancelled").then(iso_with_zone(pl.lit(cancelled_at))).alias("cancelled_at"),
        ),
        folder / f"orders_{span.label}.jsonl",
    )
    return used


def write_references(catalogue: Catalogue, places: Places, spans: list[Span], folder: Path) -> None:
    """The web catalogue, the delivery zones, and the franc's rate month by month."""
    write_json_lines(
        catalogue.frame.select(
            "sku",
            pl.col("product_name").alias("title"),
            "category",
            "brand",
            euros(catalogue.price_in(0)).alias("price"),
            euros(catalogue.cost).alias("cost"),
            pl.col("is_active").alias("online"),
        ),
        folder / "products.jsonl",
    )
    write_csv(
        places.frame.select(
            "postcode",
            "city",
            "region",
            pl.col("country_code").alias("country"),
            pl.col("latitude").cast(pl.String),
            pl.col("longitude").cast(pl.String),
        ),
        folder / "delivery_zones.csv",
    )
    months = sorted({span.start.replace(day=1) for span in spans if not span.is_future})
    write_csv(
        pl.DataFrame(
            {
                "currency": ["CHF"] * len(months),
                "valid_from": months,
                "rate": [f"{franc_rate(month):.4f}" for month in months],
            }
        ),
        folder / "exchange_rates.csv",
    )
