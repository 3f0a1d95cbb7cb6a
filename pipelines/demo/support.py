"""The support desk: requesters, tickets, and the answers to two surveys."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.demo import slips
from pipelines.demo.columns import either
from pipelines.demo.people import NEVER, People
from pipelines.demo.randomness import Dice, Generator, Numbers, happens, weighted
from pipelines.demo.timeline import Span
from pipelines.demo.truth import Truth
from pipelines.demo.vocabulary import table
from pipelines.demo.writers import write_csv

SOURCE = "support"
_CATEGORIES = ["delivery", "complaint", "return", "invoice", "question", "loyalty"]
_SUBJECTS = [
    "Colis non reçu",
    "Article abîmé à l'arrivée",
    "Retour et remboursement",
    "Demande de facture",
    "Question sur un produit",
    "Points de fidélité manquants",
]
_CHANNELS = ["email", "phone", "chat", "shop"]
BY_MAIL, BY_PHONE = 0, 1


@dataclass
class SupportDesk:
    """Gathers what customers ask and answer; people who write and who call are two requesters."""

    people: People
    requester: Numbers
    known: list[pl.DataFrame] = field(default_factory=list)
    count: int = 0
    tickets: list[pl.DataFrame] = field(default_factory=list)
    answers: list[pl.DataFrame] = field(default_factory=list)

    @staticmethod
    def opened(people: People) -> SupportDesk:
        return SupportDesk(people, np.full((2, people.count), -1, dtype=np.int64))

    def _requesters(self, person: Numbers, way: Numbers, day: Numbers) -> Numbers:
        """The requester number of each person and way, given out at first sight."""
        first = (
            pl.DataFrame({"person": person, "way": way, "day": day})
            .filter(pl.Series(self.requester[way, person] < 0))
            .group_by("person", "way", maintain_order=True)
            .agg(pl.col("day").min())
        )
        if first.height:
            numbers = self.count + 1 + np.arange(first.height)
            self.requester[first["way"].to_numpy(), first["person"].to_numpy()] = numbers
            self.known.append(first.with_columns(number=pl.Series(numbers)))
            self.count += first.height
        return np.asarray(self.requester[way, person])

    def open_month(self, dice: Dice, span: Span, orders: pl.DataFrame, today: int) -> Numbers:
        """Tickets and answers about a month's orders; gives the people who were let down.

        orders: document_id, person, day, second, is_web, of people whom we know.
        """
        rng = dice.of("support", span.label, span.start.day)
        person, bought = orders["person"].to_numpy(), orders["day"].to_numpy()
        is_web = orders["is_web"].to_numpy()
        asks = np.flatnonzero(happens(rng, np.where(is_web, 0.034, 0.012), orders.height))
        let_down = self._tickets(rng, asks, orders, person, bought, is_web, today)
        mood = np.zeros(orders.height)
        mood[asks[np.isin(person[asks], let_down)]] = -4.0
        self._nps(rng, orders, person, bought, mood, today)
        return let_down

    def _tickets(
        self,
        rng: Generator,
        asks: Numbers,
        orders: pl.DataFrame,
        person: Numbers,
        bought: Numbers,
        is_web: Numbers,
        today: int,
    ) -> Numbers:
        count = len(asks)
        day = bought[asks] + 1 + rng.integers(0, 12, count)
        channel = np.where(
            is_web[asks],
            weighted(rng, np.array([50, 25, 25, 0]), count),
            weighted(rng, np.array([25, 35, 5, 35]), count),
        )
        web_odds, shop_odds = np.array([40, 18, 20, 8, 10, 4]), np.array([2, 28, 20, 12, 15, 23])
        category = np.where(
            is_web[asks], weighted(rng, web_odds, count), weighted(rng, shop_odds, count)
        )
        opened = day * 86_400 + rng.integers(8, 21, count) * 3_600 + rng.integers(0, 3_600, count)
        answer_hours = np.exp(rng.normal(1.6, 1.1, count)) * np.where(channel == 0, 1.6, 0.3)
        answered = opened + (answer_hours * 3_600).astype(np.int64)
        solving_days = np.exp(rng.normal(0.6, 0.9, count)) * np.where(category == 1, 2.2, 1.0)
        resolved = answered + (solving_days * 86_400).astype(np.int64)
        never = happens(rng, 0.02, count)
        reopened = np.where(happens(rng, 0.07, count), 1 + rng.poisson(0.3, count), 0)
        unhappy = ((category <= 1) & (solving_days > 3.5)) | (answer_hours > 60) | (reopened > 1)
        unhappy |= happens(rng, 0.08, count)
        now = (today + 1) * 86_400
        in_time = opened < now
        way = np.where((channel == 1) & happens(rng, 0.6, count), BY_PHONE, BY_MAIL)
        has_mail = self.people.newsletter_day[person[asks]] != NEVER
        has_mail |= self.people.web_day[person[asks]] != NEVER
        way = np.where(has_mail, way, BY_PHONE)
        rows = np.flatnonzero(in_time)
        number = self._requesters(person[asks][rows], way[rows], day[rows])
        is_resolved = (resolved < now) & ~never
        self.tickets.append(
            pl.DataFrame(
                {
                    "requester": number,
                    "person": person[asks][rows],
                    "order_reference": orders["document_id"].gather(asks[rows]),
                    "channel": pl.Series(_CHANNELS).gather(channel[rows]),
                    "category": pl.Series(_CATEGORIES).gather(category[rows]),
                    "priority": pl.Series(["low", "normal", "high"]).gather(
                        np.where(category[rows] == 1, 2, weighted(rng, np.array([3, 7]), len(rows)))
                    ),
                    "opened": opened[rows],
                    "answered": np.where(answered < now, answered, -1)[rows],
                    "resolved": np.where(is_resolved, resolved, -1)[rows],
                    "reopened": reopened[rows],
                    "subject": pl.Series(_SUBJECTS).gather(category[rows]),
                    "unhappy": unhappy[rows],
                    "rates": happens(rng, 0.32, len(rows)),
                }
            )
        )
        return np.unique(person[asks][in_time & unhappy])

    def _nps(
        self,
        rng: Generator,
        orders: pl.DataFrame,
        person: Numbers,
        bought: Numbers,
        mood: Numbers,
        today: int,
    ) -> None:
        asked = np.flatnonzero(happens(rng, 0.016, orders.height))
        day = bought[asked] + 14
        answered = (
            day * 86_400 + (rng.gamma(1.2, 1.2, len(asked)) * 86_400).astype(np.int64) + 30_000
        )
        rows = np.flatnonzero(answered < (today + 1) * 86_400)
        asked, day, answered = asked[rows], day[rows], answered[rows]
        score = np.clip(np.rint(rng.normal(8.1, 1.9, len(asked)) + mood[asked]), 0, 10)
        self.answers.append(
            pl.DataFrame(
                {
                    "requester": self._requesters(
                        person[asked], np.zeros(len(asked), dtype=np.int64), day
                    ),
                    "person": person[asked],
                    "order_reference": orders["document_id"].gather(asked),
                    "sent": day * 86_400 + 28_800,
                    "answered": answered,
                    "score": score.astype(np.int64),
                }
            )
        )

    def write(self, dice: Dice, today: int, folder: Path, truth: Truth) -> None:
        rng = dice.of("support", "files")
        self._write_requesters(rng, today, folder, truth)
        tickets = [part for part in self.tickets if part.height]
        if tickets:
            self._write_tickets(rng, pl.concat(tickets), folder, truth, today)
        answers = [part for part in self.answers if part.height]
        if answers:
            told = pl.concat(answers).sort("answered", "requester", maintain_order=True)
            comments = _comments(rng, "nps", told["score"].to_numpy())
            told = told.select(
                pl.format("NPS-{}", pl.int_range(1, pl.len() + 1)).alias("survey_id"), pl.all()
            )
            truth.add_records(SOURCE, "surveys", told["survey_id"], told["person"].to_numpy())
            write_csv(
                told.select(
                    "survey_id",
                    pl.format("U{}", "requester").alias("requester_id"),
                    "score",
                    _time("sent").alias("sent_at"),
                    _time("answered").alias("answered_at"),
                    comments.alias("comment"),
                    "order_reference",
                ),
                folder / "nps_answers.csv",
            )

    def _write_requesters(self, rng: Generator, today: int, folder: Path, truth: Truth) -> None:
        if not self.known:
            return
        known = pl.concat(self.known)
        person, by_phone = known["person"].to_numpy(), (known["way"] == BY_PHONE).to_numpy()
        one = self.people.frame.select(pl.all().gather(person))
        first = slips.mistyped(slips.shortened(one["first_name"], rng, 0.04), rng, 0.02)
        last = slips.mistyped(one["last_name"], rng, 0.03)
        is_reversed = pl.Series(happens(rng, 0.15, known.height))
        name = either(
            is_reversed,
            pl.concat_str([last.str.to_uppercase(), first], separator=" "),
            pl.concat_str([first, last], separator=" "),
        )
        shows_phone = pl.Series(by_phone | happens(rng, 0.15, known.height))
        phone = slips.with_placeholders(
            slips.written_phones(one["mobile"], rng), rng, 0.01, slips.PLACEHOLDER_PHONES
        )
        other = happens(rng, 0.10, known.height)
        email = slips.written_emails(either(other, one["other_email"], one["email"]), rng)
        truth.add_records(
            SOURCE,
            "contacts",
            pl.select(pl.format("U{}", known["number"])).to_series(),
            person,
        )
        write_csv(
            known.select(
                pl.format("U{}", "number").alias("requester_id"),
                slips.recased(name, rng, upper=0.03, lower=0.06).alias("name"),
                pl.when(pl.Series(~by_phone)).then(email).alias("email"),
                pl.when(shows_phone).then(phone).alias("phone"),
                pl.from_epoch(pl.col("day").clip(upper_bound=today), time_unit="d").alias(
                    "created_on"
                ),
            ),
            folder / "requesters.csv",
        )

    def _write_tickets(
        self, rng: Generator, tickets: pl.DataFrame, folder: Path, truth: Truth, today: int
    ) -> None:
        tickets = tickets.sort("opened", "requester", maintain_order=True).select(
            pl.format("T{}", pl.int_range(1, pl.len() + 1) + 40_000).alias("ticket_id"), pl.all()
        )
        truth.add_records(SOURCE, "tickets", tickets["ticket_id"], tickets["person"].to_numpy())
        status = (
            pl.when(pl.col("resolved") >= 0)
            .then(pl.lit("resolved"))
            .when(pl.col("answered") >= 0)
            .then(pl.lit("pending"))
            .otherwise(pl.lit("open"))
        )
        file = tickets.select(
            "ticket_id",
            pl.format("U{}", "requester").alias("requester_id"),
            "order_reference",
            "channel",
            "category",
            "priority",
            status.alias("status"),
            _text_time("opened").alias("opened_at"),
            _text_time("answered").alias("first_response_at"),
            _text_time("resolved").alias("resolved_at"),
            "reopened",
            "subject",
        )
        if file.height > 150:
            # Tickets taken over from an older tool, with dates that no calendar has.
            count = max(1, file.height // 400)
            old = file[np.sort(rng.integers(0, file.height, count))].with_columns(
                ticket_id=pl.format("OLD-{}", pl.int_range(1, count + 1)),
                opened_at=pl.lit("2024-02-31 10:00:00"),
            )
            truth.add_bad_rows(
                SOURCE,
                "tickets",
                "tickets.csv",
                file.height + 2 + np.arange(count),
                "not_a_timestamp",
            )
            file = pl.concat([file, old])
        write_csv(file, folder / "tickets.csv")
        rated = tickets.filter(
            pl.col("rates")
            & (pl.col("resolved") >= 0)
            & (pl.col("resolved") + 90_000 < (today + 1) * 86_400)
        )
        if rated.height:
            glad = rng.normal(4.3, 0.9, rated.height) - 1.9 * rated["unhappy"].to_numpy()
            score = np.clip(np.rint(glad), 1, 5).astype(np.int64)
            rated = rated.select(
                pl.format("CSAT-{}", pl.int_range(1, pl.len() + 1)).alias("survey_id"), pl.all()
            )
            truth.add_records(SOURCE, "surveys", rated["survey_id"], rated["person"].to_numpy())
            write_csv(
                rated.select(
                    "survey_id",
                    "ticket_id",
                    pl.format("U{}", "requester").alias("requester_id"),
                    pl.Series("score", score),
                    _time("resolved").alias("sent_at"),
                    pl.from_epoch(pl.col("resolved") + 86_400, time_unit="s").alias("answered_at"),
                    _comments(rng, "csat", score).alias("comment"),
                ),
                folder / "csat_answers.csv",
            )


def _time(column: str) -> pl.Expr:
    return pl.from_epoch(pl.col(column), time_unit="s")


def _text_time(column: str) -> pl.Expr:
    return pl.when(pl.col(column) >= 0).then(_time(column).dt.strftime("%Y-%m-%d %H:%M:%S"))


def _comments(rng: Generator, kind: str, scores: Numbers) -> pl.Series:
    """A sentence that fits the score, from one in four."""
    known = table("comments").filter(pl.col("kind") == kind)
    texts = pl.Series([None] * len(scores), dtype=pl.String)
    speaks = happens(rng, 0.27, len(scores))
    for score in np.unique(scores):
        fitting = known.filter(pl.lit(int(score)).is_between(pl.col("lowest"), pl.col("highest")))[
            "comment"
        ]
        if len(fitting):
            rows = np.flatnonzero(speaks & (scores == score))
            if len(rows):
                texts = texts.scatter(
                    rows, fitting.gather(rng.integers(0, len(fitting), len(rows)))
                )
    return texts
