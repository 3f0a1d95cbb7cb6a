"""The demo company: 36 months of an invented French retailer, as its six systems export them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.demo import email_platform, shops, webshop
from pipelines.demo.behaviour import EVENTS, KINDS, REASONS, build_behaviour
from pipelines.demo.campaigns import Wave, build_mailing, credited, plan_campaigns, pushes_of, send
from pipelines.demo.catalogue import COMPANY, build_catalogue
from pipelines.demo.columns import either
from pipelines.demo.documents import Documents, Register, make_documents
from pipelines.demo.organisations import build_organisations
from pipelines.demo.people import NEVER, build_people
from pipelines.demo.places import build_places
from pipelines.demo.purchases import NO_ONE, Pushes, Trade, World, pass_month, trade
from pipelines.demo.randomness import Dice, Numbers, happens
from pipelines.demo.sales import build_leads, lead_visits, leads_count, write_sales
from pipelines.demo.support import SupportDesk
from pipelines.demo.timeline import FUTURE_DAYS, Span, day_number, euros, spans
from pipelines.demo.truth import Truth
from pipelines.demo.web_analytics import Analytics, browse_month

Progress = Callable[[str, int, int], None]
_MANIFEST = "generated.json"
_MONTHS_WITH_DAY_TOTALS = (4, 11, 18, 25, 31)


@dataclass(frozen=True)
class GeneratedCompany:
    """What was generated, and where: ``inbox/<source>/`` and ``truth/`` below ``folder``."""

    folder: Path
    company: str
    customers: int
    seed: int
    until: date
    files: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)


def generate(
    folder: Path,
    *,
    customers: int = 20_000,
    seed: int = 7,
    until: date = date(2026, 10, 31),
    progress: Progress | None = None,
) -> GeneratedCompany:
    """Write the company's sources and the truth about them below ``folder``.

    ``customers`` is the number of consumers; client organisations and passers-by come on top.
    The same arguments give the same bytes. Files of an earlier generation are replaced.
    ``progress`` is told what is being done, the steps done, and the steps in all.
    ValueError when there is less than one customer.
    """
    if customers < 1:
        raise ValueError("a company has at least one customer")
    _clear(folder)
    simulation = _Simulation(folder, customers, Dice(seed), until)
    steps = len(simulation.spans) + 2
    for step, span in enumerate(simulation.spans):
        if progress:
            progress(span.label, step, steps)
        simulation.live(step, span)
    if progress:
        progress("contacts", steps - 2, steps)
    simulation.write_contacts()
    if progress:
        progress("truth", steps - 1, steps)
    simulation.write_truth()
    files = sorted(
        path for part in ("inbox", "truth") for path in (folder / part).rglob("*") if path.is_file()
    )
    names = [path.relative_to(folder).as_posix() for path in files]
    (folder / "truth" / _MANIFEST).write_text(json.dumps(names, indent=1), encoding="utf-8")
    if progress:
        progress("done", steps, steps)
    return GeneratedCompany(folder, COMPANY, customers, seed, until, tuple(files))


def _clear(folder: Path) -> None:
    """Remove what an earlier generation wrote here, and nothing else."""
    manifest = folder / "truth" / _MANIFEST
    if manifest.exists():
        for name in json.loads(manifest.read_text(encoding="utf-8")):
            (folder / name).unlink(missing_ok=True)
        manifest.unlink()


class _Simulation:
    """The company's state as the months pass."""

    def __init__(self, folder: Path, customers: int, dice: Dice, until: date) -> None:
        self.folder, self.dice, self.until = folder, dice, until
        self.today = day_number(until)
        self.spans = spans(until)
        self.truth = Truth()
        self.places, self.shops = build_places()
        self.catalogue = build_catalogue()
        leads = leads_count(customers)
        self.organisations = build_organisations(dice, max(1, int(leads * 0.7)), self.places)
        self.people, self.jobs = build_people(
            dice, customers, int(leads * 1.2), until, self.places, self.organisations
        )
        self.behaviour = build_behaviour(
            dice, self.people, self.places, self.shops, self.catalogue, self.today
        )
        self.campaigns = plan_campaigns(self.spans, customers)
        self.cards = shops.build_cards(dice, self.people, self.today)
        has_mail = np.zeros(self.people.count, dtype=np.bool_)
        holders = self.cards.first >= 0
        has_mail[holders] = self.cards.has_email[self.cards.first[holders]]
        self.mailing = build_mailing(dice, self.people, has_mail)
        self.accounts = webshop.build_accounts(dice, self.people, self.today)
        self.leads = build_leads(
            dice, leads, self.people, self.jobs, self.organisations, self.campaigns, self.today
        )
        self.lead_visits = lead_visits(dice, self.leads, self.jobs)
        self.world = World(
            dice, self.people, self.behaviour, self.places, self.shops, self.catalogue, until.year
        )
        self.tills, self.web = Register(is_web=False), Register(is_web=True)
        self.book = webshop.OrderBook()
        self.desk = SupportDesk.opened(self.people)
        self.analytics = Analytics(self._inbox("web"), self.truth)
        self.events = email_platform.EventLog(self._inbox("email"), self.truth)
        self.held_out: list[pl.DataFrame] = []
        self.spent = np.zeros(self.cards.count, dtype=np.int64)
        self.card_is_used = np.zeros(self.cards.count, dtype=np.bool_)
        self.effects: list[pl.DataFrame] = []
        self.groups: list[pl.DataFrame] = []
        self.bought = np.zeros(self.people.count, dtype=np.int32)
        self.to_come = {
            name: np.zeros(self.people.count, dtype=np.int64)
            for name in (
                "orders_91_days",
                "orders_182_days",
                "orders_365_days",
                "net_cents_365_days",
            )
        }

    def _inbox(self, source: str) -> Path:
        return self.folder / "inbox" / source

    def live(self, step: int, span: Span) -> None:
        """One month: mail, sell, return, complain, browse, and lose some customers."""
        if span.is_future:
            sold = trade(self.world, span, Pushes.none())
            self._remember_future(sold)
            pass_month(self.world, span, step, np.zeros(0, dtype=np.int64))
            return
        waves = [
            send(
                campaign, span, self.dice, self.people, self.behaviour, self.mailing, self.catalogue
            )
            for campaign in self.campaigns
            if campaign.channel == "email" and span.start <= campaign.start < span.end
        ]
        sold = trade(self.world, span, pushes_of(waves))
        credit = credited(sold.orders, waves)
        till = make_documents(self.tills, self.world, span, sold, credit)
        web = make_documents(self.web, self.world, span, sold, credit)
        shown = shops.write_tickets(
            till,
            self.cards,
            self.shops,
            self.catalogue,
            span,
            self.dice,
            self._inbox("shops"),
            self.truth,
            planted=step in _MONTHS_WITH_DAY_TOTALS,
        )
        used = webshop.write_orders(
            web,
            self.accounts,
            self.catalogue,
            self.campaigns,
            span,
            self.dice,
            self._inbox("webshop"),
            self.book,
        )
        self._remember(sold, till, web, shown)
        mail = (
            self.accounts.email.gather(used)
            if self.accounts.count
            else pl.Series([], dtype=pl.String)
        )
        browse_month(
            self.analytics,
            self.dice,
            span,
            self.people,
            self.behaviour,
            self.catalogue,
            self.campaigns,
            web,
            mail,
            waves,
            self.lead_visits,
        )
        self.events.add(span.quarter, waves, self.mailing, self.dice, self.today + 1)
        self._remember_waves(waves)
        let_down = self._complaints(span, till, web, shown)
        pass_month(self.world, span, step, let_down)

    def _complaints(self, span: Span, till: Documents, web: Documents, shown: Numbers) -> Numbers:
        """Support knows the buyers of the web shop and those who showed a card."""
        columns = ["document_id", "person", "day", "second"]
        known = pl.concat(
            [
                till.headers.filter((pl.col("kind") == "sale") & pl.Series(shown >= 0))
                .select(columns)
                .with_columns(is_web=pl.lit(False)),
                web.headers.filter(pl.col("kind") == "sale")
                .select(columns)
                .with_columns(is_web=pl.lit(True)),
            ]
        )
        return self.desk.open_month(self.dice, span, known, self.today)

    def _remember(self, sold: Trade, till: Documents, web: Documents, shown: Numbers) -> None:
        names = pl.Series([campaign.campaign_id for campaign in self.campaigns] or [""])
        for source, documents in (("shops", till), ("webshop", web)):
            headers, totals = documents.headers, documents.totals
            cause = headers["cause"].to_numpy()
            self.truth.orders.append(
                headers.select(
                    pl.lit(source).cast(pl.Categorical).alias("source"),
                    pl.col("document_id").alias("order_id"),
                    pl.col("person").cast(pl.Int32).alias("person_id"),
                    pl.from_epoch("day", time_unit="d").alias("order_date"),
                    pl.col("kind").cast(pl.Categorical),
                    euros(totals["net"]).alias("net_amount"),
                    pl.when("swiss")
                    .then(pl.lit("CHF"))
                    .otherwise(pl.lit("EUR"))
                    .cast(pl.Categorical)
                    .alias("currency_code"),
                    pl.when(pl.Series(cause >= 0))
                    .then(names.gather(np.maximum(cause, 0)))
                    .cast(pl.Categorical)
                    .alias("caused_by"),
                    "returned_id",
                )
            )
        if till.headers.height:
            net = till.totals["net"].to_numpy()
            card = shown >= 0
            valid = card & (till.headers["kind"] != "cancelled").to_numpy()
            np.add.at(self.spent, shown[valid], net[valid])
            self.card_is_used[shown[card]] = True
        person = sold.orders["person"].to_numpy()
        np.add.at(self.bought, person[person != NO_ONE], 1)
        net_of = sold.lines.group_by("order").agg(pl.col("net").sum()).sort("order")["net"]
        self.effects.append(
            sold.orders.select("cause").with_columns(net=net_of).filter(pl.col("cause") >= 0)
        )

    def _remember_waves(self, waves: list[Wave]) -> None:
        for wave in waves:
            self.held_out.append(email_platform.held_out(wave, self.mailing))
            self.groups.append(
                wave.groups.select(
                    pl.lit(wave.campaign.campaign_id).cast(pl.Categorical).alias("campaign_id"),
                    pl.col("person").cast(pl.Int32).alias("person_id"),
                    "is_held_out",
                )
            )

    def _remember_future(self, sold: Trade) -> None:
        orders = sold.orders.with_columns(
            net=sold.lines.group_by("order").agg(pl.col("net").sum()).sort("order")["net"]
        ).filter(pl.col("person") != NO_ONE)
        person = orders["person"].to_numpy()
        ahead = orders["day"].to_numpy() - self.today
        for days in (91, 182, FUTURE_DAYS):
            np.add.at(self.to_come[f"orders_{days}_days"], person[ahead <= days], 1)
        np.add.at(self.to_come["net_cents_365_days"], person, orders["net"].to_numpy())

    def write_contacts(self) -> None:
        """The files that a system exports once: its people, its catalogue, its campaigns."""
        rng = self.dice.of("bad birth dates")
        unused = np.flatnonzero(~self.card_is_used & (self.cards.person >= 0))
        bad = unused[happens(rng, 0.006, len(unused))] if self.cards.count > 200 else unused[:0]
        shops.write_cards(
            self.dice,
            self.people,
            self.places,
            self.shops,
            self.behaviour.home_shop,
            self.cards,
            np.maximum(self.spent, 0),
            self.today,
            self._inbox("shops"),
            self.truth,
            bad,
        )
        shops.write_articles(self.catalogue, self._inbox("shops"))
        company_of = dict(
            zip(
                self.jobs.person[self.jobs.person >= self.people.consumers].tolist(),
                self.organisations.frame["account_name"]
                .gather(self.jobs.organisation[self.jobs.person >= self.people.consumers])
                .to_list(),
                strict=True,
            )
        )
        webshop.write_customers(
            self.dice,
            self.people,
            self.places,
            self.accounts,
            self.cards,
            company_of,
            self.until,
            self.today,
            self._inbox("webshop"),
            self.truth,
        )
        webshop.write_references(self.catalogue, self.places, self.spans, self._inbox("webshop"))
        write_sales(
            self.dice,
            self.leads,
            self.people,
            self.jobs,
            self.organisations,
            self.campaigns,
            self.today,
            self._inbox("crm"),
            self.truth,
        )
        self.events.flush(self.dice)
        email_platform.write_contacts(
            self.dice, self.people, self.mailing, self.today, self._inbox("email"), self.truth
        )
        email_platform.write_campaigns(self.campaigns, self.until, self._inbox("email"))
        email_platform.write_held_out(self.held_out, self._inbox("email"))
        self.desk.write(self.dice, self.today, self._inbox("support"), self.truth)
        self.analytics.finish()

    def write_truth(self) -> None:
        """Who is who, what is to come, what each campaign did."""
        people, behaviour = self.people, self.behaviour
        count = people.count

        def dates(days: Numbers) -> pl.Series:
            known = pl.Series((days != NEVER) & (days <= self.today + FUTURE_DAYS))
            held = np.where(known, days, 0).astype(np.int32)
            return either(known, pl.Series(held).cast(pl.Date))

        self.truth.tables["people"] = pl.DataFrame(
            {
                "person_id": np.arange(count, dtype=np.int32),
                "is_professional": np.arange(count) >= people.consumers,
                "household_id": people.household.astype(np.int32),
                **{
                    name: people.frame[name]
                    for name in ("first_name", "last_name", "former_last_name", "gender", "is_twin")
                },
                "birth_date": dates(people.birth_day),
                "postcode": self.places.frame["postcode"].gather(people.place),
                "is_staff": people.is_staff,
                "kind": pl.Series(KINDS).gather(behaviour.kind),
                "joined_date": dates(people.joined_day),
                "moved_date": dates(people.moved_day),
                "married_date": dates(people.married_day),
                "household_event": pl.Series(EVENTS).gather(behaviour.event),
                "household_event_date": either(behaviour.event > 0, dates(behaviour.event_day)),
                "lapsed_date": dates(behaviour.lapsed_day),
                "lapse_reason": pl.Series(REASONS).gather(behaviour.lapse_reason),
            }
        )
        self.truth.tables["lifetimes"] = pl.DataFrame(
            {
                "person_id": np.arange(count, dtype=np.int32),
                "orders_to_date": self.bought,
                "is_active": behaviour.lapsed_day > self.today,
                **self.to_come,
            }
        )
        self._write_campaign_truth()
        self.truth.write(self.folder / "truth")

    def _write_campaign_truth(self) -> None:
        planned = pl.DataFrame(
            {
                "cause": [campaign.position for campaign in self.campaigns],
                "campaign_id": [campaign.campaign_id for campaign in self.campaigns],
                "channel": [campaign.channel for campaign in self.campaigns],
                "strength": [campaign.strength for campaign in self.campaigns],
            },
            schema={
                "cause": pl.Int64,
                "campaign_id": pl.String,
                "channel": pl.String,
                "strength": pl.Float64,
            },
        )
        caused = (
            pl.concat([pl.DataFrame(schema={"cause": pl.Int64, "net": pl.Int64}), *self.effects])
            .group_by("cause")
            .agg(
                pl.len().cast(pl.Int64).alias("caused_orders"),
                (pl.col("net").sum() / 100).alias("caused_net_amount"),
            )
        )
        groups = pl.concat(
            [
                pl.DataFrame(
                    schema={
                        "campaign_id": pl.Categorical,
                        "person_id": pl.Int32,
                        "is_held_out": pl.Boolean,
                    }
                ),
                *self.groups,
            ]
        )
        sizes = groups.group_by(pl.col("campaign_id").cast(pl.String)).agg(
            pl.len().cast(pl.Int64).alias("targets"),
            pl.col("is_held_out").sum().cast(pl.Int64).alias("held_out"),
        )
        self.truth.tables["campaigns"] = (
            planned.join(caused, on="cause", how="left", maintain_order="left")
            .join(sizes, on="campaign_id", how="left", maintain_order="left")
            .drop("cause")
            .with_columns(
                pl.col("caused_orders", "targets", "held_out").fill_null(0),
                pl.col("caused_net_amount").fill_null(0.0),
            )
        )
        self.truth.tables["campaign_groups"] = groups
