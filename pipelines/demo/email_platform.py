"""The e-mail platform's exports: contacts, consents, campaigns, events, held-out groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.demo import slips
from pipelines.demo.campaigns import Campaign, Mailing, Wave
from pipelines.demo.columns import either
from pipelines.demo.people import NEVER, People
from pipelines.demo.randomness import Dice, happens
from pipelines.demo.truth import Truth
from pipelines.demo.writers import write_csv

SOURCE = "email"


def _utc(seconds: pl.Expr) -> pl.Expr:
    return pl.from_epoch(seconds, time_unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class EventLog:
    """Gathers the events of a quarter and writes them as one file, in time order."""

    folder: Path
    truth: Truth
    quarter: str = ""
    waiting: list[pl.DataFrame] = field(default_factory=list)

    def add(self, quarter: str, waves: list[Wave], mailing: Mailing, dice: Dice, end: int) -> None:
        """Events of a month's mailings that happened before the day ``end``."""
        if quarter != self.quarter:
            self.flush(dice)
            self.quarter = quarter
        for wave in waves:
            events = wave.events.filter(pl.col("second") < end * 86_400)
            campaign = wave.campaign
            self.waiting.append(
                events.select(
                    "second",
                    pl.lit(campaign.campaign_id).alias("campaign_id"),
                    pl.format("{}-{}", pl.lit(f"{campaign.position:03}"), "message").alias(
                        "message_id"
                    ),
                    mailing.email.gather(events["person"]).alias("email"),
                    pl.col("kind").alias("event"),
                    pl.when(pl.col("kind") == "clicked")
                    .then(
                        pl.lit(
                            f"https://www.maison-vernelle.example/?utm_campaign={campaign.campaign_id}"
                        )
                    )
                    .alias("url"),
                )
            )

    def flush(self, dice: Dice) -> None:
        events = [part for part in self.waiting if part.height]
        self.waiting = []
        if not events:
            return
        rng = dice.of("events", self.quarter)
        name = f"events_{self.quarter}.csv"
        log = (
            pl.concat(events)
            .sort("second", "message_id", "event")
            .with_columns(occurred_at=_utc(pl.col("second")))
        )
        spoilt = np.zeros(log.height, dtype=np.bool_)
        if log.height > 500:
            # A clock that was wrong for a while: thirtieths of February.
            machine = (log["event"] == "opened").to_numpy()
            spoilt = machine & happens(rng, 0.0015, log.height)
            again = log.filter(pl.Series(spoilt)).with_columns(
                occurred_at=pl.lit(f"{self.quarter[:4]}-02-30T00:00:00Z"), event=pl.lit("opened")
            )
            log = pl.concat(
                [log.with_columns(bad=pl.lit(False)), again.with_columns(bad=pl.lit(True))]
            )
            log = log.sort("second", "message_id", "event", "bad")
            bad = log["bad"].to_numpy()
            self.truth.add_bad_rows(
                SOURCE, "events", name, np.flatnonzero(bad) + 2, "not_a_timestamp"
            )
        write_csv(
            log.select("campaign_id", "message_id", "email", "event", "occurred_at", "url"),
            self.folder / name,
            bom=True,
        )


def write_contacts(
    dice: Dice, people: People, mailing: Mailing, today: int, folder: Path, truth: Truth
) -> None:
    """Contacts and what they consented to; those who left or bounced stay with their status."""
    rng = dice.of("mailing", "contacts")
    rows = np.flatnonzero(mailing.is_owner & (mailing.since_day <= today))
    if not len(rows):
        return
    one = people.frame.select(pl.col("first_name", "last_name").gather(rows))
    first = slips.recased(slips.shortened(one["first_name"], rng, 0.02), rng, upper=0.03, lower=0.1)
    last = slips.recased(slips.mistyped(one["last_name"], rng, 0.01), rng, upper=0.15, lower=0.1)
    has_name = pl.Series(
        happens(rng, np.where(people.newsletter_day[rows] != NEVER, 0.45, 0.95), len(rows))
    )
    left = mailing.left_day[rows]
    wrong = mailing.is_wrong[rows] & (left != NEVER)
    second = rng.integers(8 * 3_600, 22 * 3_600, len(rows))
    since = pl.Series(mailing.since_day[rows] * 86_400 + second)
    emails = mailing.email.gather(rows)
    opted_in = mailing.has_opted_in[rows]
    contacts = pl.DataFrame(
        {
            "email": emails,
            "first_name": either(has_name, first),
            "last_name": either(has_name, last),
            "status": pl.Series(
                np.select(
                    [~opted_in, wrong, left != NEVER],
                    ["never_subscribed", "cleaned", "unsubscribed"],
                    "subscribed",
                )
            ),
            "language": pl.Series(["fr"]).new_from_index(0, len(rows)),
            "since": since,
        }
    ).sort("since", maintain_order=True)
    write_csv(
        contacts.with_columns(created_at=_utc(pl.col("since"))).drop("since"),
        folder / "contacts.csv",
        bom=True,
    )
    truth.add_records(SOURCE, "contacts", mailing.email.gather(rows).str.to_lowercase(), rows)
    given = pl.DataFrame(
        {
            "email": mailing.email.gather(rows),
            "second": since,
            "status": pl.Series(np.where(opted_in, "granted", "refused")),
            "origin": pl.Series(
                np.select(
                    [people.newsletter_day[rows] != NEVER, people.web_day[rows] != NEVER],
                    ["newsletter form", "account creation"],
                    "loyalty card",
                )
            ),
        }
    )
    gone = pl.concat(
        [
            given.head(0).select("email", "second"),
            *(
                part.select(mailing.email.gather(part["person"]).alias("email"), "second")
                for part in mailing.unsubscribed
            ),
        ]
    ).select("email", "second", status=pl.lit("withdrawn"), origin=pl.lit("unsubscribe link"))
    consents = pl.concat([given, gone]).filter(pl.col("second") < (today + 1) * 86_400)
    write_csv(
        consents.sort("second", maintain_order=True).select(
            "email",
            pl.lit("marketing").alias("purpose"),
            pl.lit("email").alias("channel"),
            "status",
            _utc(pl.col("second")).alias("recorded_at"),
            "origin",
        ),
        folder / "consents.csv",
        bom=True,
    )


def write_campaigns(campaigns: list[Campaign], until: date, folder: Path) -> None:
    """The campaign calendar with what each one cost."""
    write_csv(
        pl.DataFrame(
            {
                "campaign_id": [c.campaign_id for c in campaigns],
                "name": [c.name for c in campaigns],
                "channel": [c.channel for c in campaigns],
                "objective": [c.objective for c in campaigns],
                "started_at": [f"{c.start}T06:00:00Z" for c in campaigns],
                "ended_at": [f"{c.end}T22:00:00Z" if c.end <= until else None for c in campaigns],
                "budget": [float(round(c.cost * 1.1 / 50) * 50) for c in campaigns],
                "cost": [c.cost for c in campaigns],
                "currency": ["EUR"] * len(campaigns),
            },
            schema_overrides={"ended_at": pl.String},
        ),
        folder / "campaigns.csv",
        bom=True,
    )


def write_held_out(waves: list[pl.DataFrame], folder: Path) -> None:
    """Who was kept out of each mailing, so that its effect can be measured."""
    groups = [part for part in waves if part.height]
    if groups:
        write_csv(pl.concat(groups), folder / "control_groups.csv", bom=True)


def held_out(wave: Wave, mailing: Mailing) -> pl.DataFrame:
    """The held-out addresses of one mailing."""
    kept = wave.groups.filter("is_held_out")
    return kept.select(
        pl.lit(wave.campaign.campaign_id).alias("campaign_id"),
        mailing.email.gather(kept["person"]).alias("email"),
        pl.lit("control").alias("group"),
        pl.lit(str(wave.campaign.start)).alias("drawn_on"),
    )
