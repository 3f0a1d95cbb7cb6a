"""Web analytics: visits and carts, of visitors who are known once they log in or click."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.demo.behaviour import Behaviour
from pipelines.demo.campaigns import Campaign, Wave
from pipelines.demo.catalogue import Catalogue
from pipelines.demo.columns import either
from pipelines.demo.documents import CANCELLED, RETURN, Documents
from pipelines.demo.people import NEVER, People
from pipelines.demo.purchases import NO_ONE
from pipelines.demo.randomness import Dice, Generator, Numbers, happens, weighted
from pipelines.demo.timeline import Span, draw_seconds, local_time, utc
from pipelines.demo.truth import Truth
from pipelines.demo.writers import write_parquet

SOURCE = "web"
_REFERRERS = ["direct", "search", "social", "email", "partner"]
_DEVICES = ["mobile", "desktop", "tablet"]


@dataclass
class Analytics:
    """Gathers a quarter's visits and carts and writes them as two files."""

    folder: Path
    truth: Truth
    quarter: str = ""
    carts_count: int = 0
    visits: list[pl.DataFrame] = field(default_factory=list)
    carts: list[pl.DataFrame] = field(default_factory=list)
    visitors: list[pl.DataFrame] = field(default_factory=list)
    emails: list[pl.DataFrame] = field(default_factory=list)

    def turn_to(self, quarter: str) -> None:
        if quarter != self.quarter:
            self.flush()
            self.quarter = quarter

    def flush(self) -> None:
        visits = [part for part in self.visits if part.height]
        carts = [part for part in self.carts if part.height]
        if visits:
            write_parquet(
                pl.concat(visits).sort("started_at", "visitor_id"),
                self.folder / f"visits_{self.quarter}.parquet",
            )
        if carts:
            write_parquet(
                pl.concat(carts).sort("created_at", "cart_id"),
                self.folder / f"carts_{self.quarter}.parquet",
            )
        self.visits, self.carts = [], []

    def finish(self) -> None:
        """Write the last quarter, and who the visitors and addresses were to the truth."""
        self.flush()
        if self.visitors:
            seen = pl.concat(self.visitors).unique("visitor_id").sort("visitor_id")
            self.truth.add_records(
                SOURCE, "visitors", seen["visitor_id"], seen["person"].to_numpy()
            )
        if self.emails:
            known = pl.concat(self.emails).unique("record_id", keep="first", maintain_order=True)
            known = known.sort("record_id")
            self.truth.add_records(
                SOURCE, "contacts", known["record_id"], known["person"].to_numpy()
            )


def _visitor_ids(rng: Generator, person: Numbers, day: Numbers) -> pl.Series:
    """A first-party cookie: some people have three devices, and cookies last half a year."""
    device = weighted(rng, np.array([6, 3, 1]), len(person)).astype(np.uint64)
    period = (np.asarray(day) // 183).astype(np.uint64)
    stranger = np.where(person == NO_ONE, rng.integers(1, 2**40, len(person)), 0).astype(np.uint64)
    mixed = (
        (person + 2).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        ^ (device * np.uint64(0xBF58476D1CE4E5B9))
        ^ (period * np.uint64(0x94D049BB133111EB))
        ^ (stranger * np.uint64(0xD6E8FEB86659FD93))
    )
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(29)
    high = pl.Series(mixed >> np.uint64(32)).cast(pl.String).str.zfill(10)
    low = pl.Series(mixed & np.uint64(0xFFFFFFFF)).cast(pl.String).str.zfill(10)
    return pl.select(pl.concat_str([high, low], separator=".")).to_series()


def browse_month(
    analytics: Analytics,
    dice: Dice,
    span: Span,
    people: People,
    behaviour: Behaviour,
    catalogue: Catalogue,
    campaigns: list[Campaign],
    web: Documents,
    order_emails: pl.Series,
    waves: list[Wave],
    lead_visits: pl.DataFrame,
) -> None:
    """The visits and carts of a month: to buy, from an e-mail, to look around, by strangers."""
    analytics.turn_to(span.quarter)
    rng = dice.of("visits", span.label, span.start.day)
    end = span.first_day + span.days
    bought = web.headers.with_columns(email=order_emails).filter(pl.col("kind") != RETURN)
    ordering = pl.DataFrame(
        {
            "person": bought["person"],
            "day": bought["day"],
            "second": np.maximum(
                bought["second"].to_numpy() - rng.integers(240, 2_400, bought.height), 0
            ),
            "email": bought["email"],
            "page": pl.Series(["/"]).new_from_index(0, bought.height),
            "campaign": bought["credited"],
            "is_known": happens(rng, 0.95, bought.height),
        }
    )
    looks = np.flatnonzero(
        (np.minimum(people.web_day, people.newsletter_day) < end)
        & (behaviour.lapsed_day >= span.first_day)
    )
    looker = np.repeat(looks, rng.poisson(0.088 * span.share_of_month, len(looks)))
    strangers = rng.poisson(people.consumers * 0.017 * span.share_of_month)
    who = np.concatenate([looker, np.full(strangers, NO_ONE)])
    browsing = _browsing(rng, span, people, catalogue, who)
    parts = [ordering, browsing]
    for wave in waves:
        clicks = wave.clicks.filter(pl.col("day") < end)
        parts.append(
            pl.DataFrame(
                {
                    "person": clicks["person"],
                    "day": clicks["day"],
                    "second": clicks["second"],
                    "email": people.frame["email"].gather(clicks["person"]),
                    "page": pl.Series(["/"]).new_from_index(0, clicks.height),
                    "campaign": clicks["campaign"],
                    "is_known": happens(rng, 0.7, clicks.height),
                }
            )
        )
    leads = lead_visits.filter(pl.col("day").is_between(span.first_day, end, closed="left"))
    parts.append(
        pl.DataFrame(
            {
                "person": leads["person"],
                "day": leads["day"],
                "second": leads["second"],
                "email": leads["email"],
                "page": leads["page"],
                "campaign": np.full(leads.height, -1),
                "is_known": happens(rng, 0.85, leads.height),
            }
        )
    )
    visits = pl.concat(
        [
            part.with_columns(pl.col("person", "day", "second", "campaign").cast(pl.Int64))
            for part in parts
        ]
    )
    visits = _enriched(rng, visits, campaigns)
    analytics.visits.append(visits.drop("person", "basket_day", "basket_second"))
    analytics.visitors.append(visits.select("visitor_id", "person"))
    analytics.emails.append(
        visits.filter(pl.col("user_email").is_not_null())
        .select(pl.col("user_email").str.to_lowercase().alias("record_id"), "person")
        .unique("record_id", keep="first", maintain_order=True)
    )
    analytics.carts.append(
        _carts(analytics, rng, visits, ordering.height, browsing.height, web, bought, catalogue)
    )


def _browsing(
    rng: Generator, span: Span, people: People, catalogue: Catalogue, who: Numbers
) -> pl.DataFrame:
    count = len(who)
    sku = catalogue.frame["sku"].gather(rng.integers(0, catalogue.size, count))
    at_home = pl.Series(happens(rng, 0.35, count))
    return pl.DataFrame(
        {
            "person": who,
            "day": span.first_day + rng.integers(0, span.days, count),
            "second": draw_seconds(rng, count, web=True),
            "email": people.frame["email"].gather(np.maximum(who, 0)),
            "page": either(at_home, "/", pl.concat_str([pl.lit("/p/"), sku])),
            "campaign": np.full(count, -1),
            "is_known": (who != NO_ONE)
            & (people.web_day[who] != NEVER)
            & happens(rng, 0.42, count),
        }
    )


def _enriched(rng: Generator, visits: pl.DataFrame, campaigns: list[Campaign]) -> pl.DataFrame:
    count = visits.height
    person, day = visits["person"].to_numpy(), visits["day"].to_numpy()
    visitor = _visitor_ids(rng, person, day)
    started = local_time(day, visits["second"].to_numpy())
    campaign = visits["campaign"].to_numpy()
    names = pl.Series([one.campaign_id for one in campaigns] or [""])
    pages = 1 + rng.geometric(0.28, count)
    referrer = np.where(campaign >= 0, 3, weighted(rng, np.array([40, 38, 14, 0, 8]), count))
    return visits.select(
        visitor.alias("visitor_id"),
        pl.concat_str(
            visitor, pl.lit("-"), (pl.col("day") * 86_400 + pl.col("second")).cast(pl.String)
        ).alias("session_id"),
        pl.when("is_known").then("email").alias("user_email"),
        utc(pl.lit(started)).alias("started_at"),
        pl.col("page").alias("landing_page"),
        pl.Series("pages_viewed", pages),
        pl.Series("duration_seconds", (pages * rng.gamma(1.4, 28, count)).astype(np.int64)),
        pl.Series(_REFERRERS).gather(referrer).alias("referrer"),
        pl.when(pl.Series(campaign >= 0))
        .then(names.gather(np.maximum(campaign, 0)))
        .alias("utm_campaign"),
        pl.Series(_DEVICES).gather(weighted(rng, np.array([62, 32, 6]), count)).alias("device"),
        "person",
        pl.col("day").alias("basket_day"),
        pl.col("second").alias("basket_second"),
    )


def _carts(
    analytics: Analytics,
    rng: Generator,
    visits: pl.DataFrame,
    ordering: int,
    browsing: int,
    web: Documents,
    bought: pl.DataFrame,
    catalogue: Catalogue,
) -> pl.DataFrame:
    """A cart for every order, and those filled by people who looked around and left."""
    items = web.lines.group_by("document").agg(pl.col("quantity").sum())
    totals = web.totals.join(items, on="document", how="left", maintain_order="left")
    kept = bought.select("document", "document_id", "kind", "swiss").join(
        totals, on="document", how="left", maintain_order="left"
    )
    left = np.flatnonzero(happens(rng, 0.75, browsing))
    items_left = 1 + rng.poisson(0.9, len(left))
    price = catalogue.list_price[rng.integers(0, catalogue.size, len(left))]
    rows = np.concatenate([np.arange(ordering), ordering + left])
    one = visits[rows]
    opened = one["basket_day"].to_numpy() * 86_400 + one["basket_second"].to_numpy() + 60
    lasts = rng.integers(40, 1_500, len(rows))
    first = analytics.carts_count
    analytics.carts_count += len(rows)
    is_order = pl.Series(np.arange(len(rows)) < ordering)
    order_id = pl.concat(
        [
            kept.select(pl.when(pl.col("kind") != CANCELLED).then("document_id")).to_series(),
            pl.Series([None] * len(left), dtype=pl.String),
        ]
    )
    is_swiss = pl.concat([kept["swiss"], pl.Series(np.zeros(len(left), dtype=np.bool_))])
    value = np.concatenate([kept["net"].to_numpy(), price * items_left]) / 100
    return one.select(
        pl.format("B{}", pl.int_range(first + 1, first + 1 + len(rows))).alias("cart_id"),
        "visitor_id",
        "user_email",
        utc(pl.lit(local_time(np.zeros(len(rows)), opened))).alias("created_at"),
        utc(pl.lit(local_time(np.zeros(len(rows)), opened + lasts))).alias("updated_at"),
        pl.Series(value).alias("value"),
        pl.when(is_swiss).then(pl.lit("CHF")).otherwise(pl.lit("EUR")).alias("currency"),
        pl.concat([kept["quantity"], pl.Series(items_left)]).alias("items"),
        pl.when(is_order).then(order_id).alias("order_id"),
    )
