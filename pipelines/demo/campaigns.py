"""Campaigns, who is written to or held out, what they do, and the orders that they cause.

A tenth of each campaign's targets is held out and receives nothing. A campaign adds orders to
those who receive it, at most ten days long and within the month; the orders it adds are known
one by one, so that its true effect is exact. Targets are picked for their tastes and recency,
so that comparing receivers with everybody else misleads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import polars as pl

from pipelines.demo.behaviour import Behaviour
from pipelines.demo.catalogue import Catalogue
from pipelines.demo.columns import either
from pipelines.demo.people import NEVER, People
from pipelines.demo.purchases import NONE, Pushes
from pipelines.demo.randomness import Dice, Flags, Numbers, happens
from pipelines.demo.slips import mistyped
from pipelines.demo.timeline import Span, day_number

WINDOW_DAYS = 10
HELD_OUT_SHARE = 0.10
_EXTRA_ORDERS = 0.038
_KINDS = ["sent", "delivered", "opened", "clicked", "bounced", "unsubscribed", "complained"]
SENT, DELIVERED, OPENED, CLICKED, BOUNCED, UNSUBSCRIBED, COMPLAINED = range(7)


@dataclass(frozen=True)
class Campaign:
    """One planned effort; ``strength`` scales its true effect, 0 having none at all."""

    position: int
    campaign_id: str
    name: str
    channel: str
    objective: str
    start: date
    end: date
    cost: float
    strength: float = 0.0
    focus: str | None = None
    win_back: bool = False


# month, day, slug, name, objective, strength, focus, win back
_MAILINGS = [
    (1, 8, "soldes-hiver", "Soldes d'hiver", "vente", 1.1, None, False),
    (2, 4, "saint-valentin", "Saint-Valentin", "vente", 0.9, "Bougies et senteurs", False),
    (3, 10, "on-pense-a-vous", "On pense à vous", "reconquête", 0.5, None, True),
    (
        3,
        18,
        "printemps-au-jardin",
        "Printemps au jardin",
        "vente",
        0.8,
        "Jardin et plein air",
        False,
    ),
    (4, 9, "nuits-douces", "Nuits douces", "vente", 0.4, "Linge de maison", False),
    (5, 13, "fete-des-meres", "Fête des mères", "vente", 1.5, None, False),
    (6, 5, "tables-d-ete", "Tables d'été", "vente", 0.6, "Art de la table", False),
    (7, 3, "dernieres-demarques", "Dernières démarques", "vente", 0.9, None, False),
    (9, 4, "rentree-creative", "Rentrée créative", "vente", 0.0, "Papeterie", False),
    (9, 16, "vous-nous-manquez", "Vous nous manquez", "reconquête", 0.4, None, True),
    (10, 7, "lumieres-d-automne", "Lumières d'automne", "vente", 0.7, "Luminaires", False),
    (10, 15, "lettre-de-la-maison", "La lettre de la maison", "image", 0.0, None, False),
    (11, 18, "semaine-noire", "Semaine Black Friday", "vente", 1.7, None, False),
    (12, 2, "cadeaux-de-noel", "Cadeaux de Noël", "vente", 1.4, None, False),
]
_ADS = [("recherche", "paid_search", "Liens sponsorisés"), ("reseaux", "social", "Réseaux sociaux")]
_FAIRS = [
    (3, 19, "salon-cse", "Salon des CSE"),
    (9, 24, "salon-cadeaux", "Salon du cadeau d'affaires"),
]


def plan_campaigns(spans: list[Span], customers: int) -> list[Campaign]:
    """The mailings of every month, ads by the quarter, two trade fairs a year."""
    planned: list[Campaign] = []
    past = [span for span in spans if not span.is_future]

    def add(campaign_id: str, **known: object) -> None:
        planned.append(Campaign(position=len(planned), campaign_id=campaign_id, **known))  # type: ignore[arg-type]

    for span in past:
        year, month = span.start.year, span.start.month
        if month in (1, 4, 7, 10):
            for code, channel, name in _ADS:
                add(
                    f"ADS-{year}-T{(month + 2) // 3}-{code}",
                    name=f"{name} T{(month + 2) // 3} {year}",
                    channel=channel,
                    objective="acquisition",
                    start=span.start,
                    end=(span.start + timedelta(days=95)).replace(day=1) - timedelta(days=1),
                    cost=round(300 + customers * (0.09 if channel == "paid_search" else 0.05), 2),
                )
        for on_month, day, code, name in _FAIRS:
            if month == on_month and day <= span.days:
                add(
                    f"SAL-{year}-{code}",
                    name=f"{name} {year}",
                    channel="event",
                    objective="prospection",
                    start=date(year, month, day),
                    end=date(year, month, day) + timedelta(days=2),
                    cost=9_800.0 + 350 * (year % 3),
                )
        for on_month, day, code, name, objective, strength, focus, win_back in _MAILINGS:
            if month == on_month and day <= span.days:
                add(
                    f"EM-{year}-{month:02}-{code}",
                    name=f"{name} {year}",
                    channel="email",
                    objective=objective,
                    start=date(year, month, day),
                    end=date(year, month, day) + timedelta(days=WINDOW_DAYS),
                    cost=round(180 + customers * 0.0011, 2),
                    strength=strength,
                    focus=focus,
                    win_back=win_back,
                )
    return planned


@dataclass
class Mailing:
    """What the e-mail platform knows: one position a person, some without an address.

    ``is_owner`` says whether the platform's record of the address is this person's; a couple that
    shares an address is one record. ``changes`` are consents given and withdrawn.
    """

    email: pl.Series
    is_known: Flags
    is_owner: Flags
    since_day: Numbers
    has_opted_in: Flags
    left_day: Numbers
    is_wrong: Flags
    opens_by_itself: Flags
    unsubscribed: list[pl.DataFrame] = field(default_factory=list)


def build_mailing(dice: Dice, people: People, card_has_email: Flags) -> Mailing:
    """Web customers, card holders with an address, and those who only read the newsletter."""
    rng = dice.of("mailing")
    count = people.count
    card_day = np.where(card_has_email, people.card_day, NEVER)
    since = np.minimum(np.minimum(card_day, people.web_day), people.newsletter_day)
    is_known = since != NEVER
    opts_in = np.select(
        [people.newsletter_day != NEVER, people.web_day != NEVER], [1.0, 0.66], 0.52
    )
    wrong = happens(rng, 0.012, count)
    mistakes = mistyped(people.frame["email"], rng, 1.0)
    email = either(wrong, mistakes, people.frame["email"])
    capital = pl.Series(happens(rng, 0.02, count))
    email = either(capital, email.str.to_uppercase(), email)
    key = pl.DataFrame({"key": email.str.to_lowercase(), "known": is_known})
    is_owner = key.select(
        pl.col("known") & pl.int_range(pl.len()).over("key", "known").eq(0)
    ).to_series()
    return Mailing(
        email=email,
        is_known=is_known,
        is_owner=is_owner.to_numpy(),
        since_day=since,
        has_opted_in=happens(rng, opts_in, count),
        left_day=np.full(count, NEVER),
        is_wrong=wrong & (email.str.to_lowercase() != people.frame["email"]).to_numpy(),
        opens_by_itself=happens(rng, 0.12, count),
    )


@dataclass(frozen=True)
class Wave:
    """What one mailing did.

    events: person, second (UTC, since 1970), kind (text). clicks: person, day, campaign.
    groups: person, is_held_out.
    """

    campaign: Campaign
    events: pl.DataFrame
    clicks: pl.DataFrame
    groups: pl.DataFrame
    pushes: Pushes


def _targets(
    rng: np.random.Generator,
    campaign: Campaign,
    mailing: Mailing,
    behaviour: Behaviour,
    catalogue: Catalogue,
) -> Numbers:
    day = day_number(campaign.start)
    reachable = np.flatnonzero(
        mailing.is_owner
        & mailing.has_opted_in
        & (mailing.since_day < day)
        & (mailing.left_day > day)
    )
    silent_for = day - behaviour.last_order_day[reachable]
    if campaign.win_back:
        odds = np.where(silent_for > 300, 0.28, 0.0)
    elif campaign.focus is not None:
        focus = catalogue.categories.index(campaign.focus)
        likes = (behaviour.favourite[reachable] == focus) | (
            behaviour.second_favourite[reachable] == focus
        )
        odds = np.where(likes, 0.70, np.where(silent_for < 200, 0.12, 0.03))
    else:
        odds = np.where(silent_for < 300, 0.41, 0.12)
    return reachable[happens(rng, odds, len(reachable))]


def send(
    campaign: Campaign,
    span: Span,
    dice: Dice,
    people: People,
    behaviour: Behaviour,
    mailing: Mailing,
    catalogue: Catalogue,
) -> Wave:
    """Send one mailing; those who unsubscribe or bounce leave the list."""
    rng = dice.of("campaign", campaign.campaign_id)
    day = day_number(campaign.start)
    targets = _targets(rng, campaign, mailing, behaviour, catalogue)
    is_held_out = happens(rng, HELD_OUT_SHARE, len(targets))
    who = targets[~is_held_out]
    count = len(who)
    sent_at = day * 86_400 + 6 * 3_600 + (np.arange(count) * 5_400) // max(count, 1)
    bounces = mailing.is_wrong[who] | happens(rng, 0.006, count)
    delivered_at = sent_at + rng.integers(1, 40, count)
    reads = ~bounces & happens(rng, 0.08 + 0.55 * behaviour.openness[who], count)
    opens = reads | (~bounces & mailing.opens_by_itself[who])
    lag = np.where(
        mailing.opens_by_itself[who], rng.integers(20, 900, count), rng.gamma(0.8, 40_000, count)
    )
    opened_at = delivered_at + lag.astype(np.int64)
    clicks = reads & happens(rng, 0.07 + 0.28 * behaviour.promo_response[who], count)
    clicked_at = opened_at + rng.integers(10, 300, count)
    again = np.flatnonzero(opens)[happens(rng, 0.25, int(opens.sum()))]
    leaves = opens & happens(rng, 0.004 + 0.006 * (1 - behaviour.openness[who]), count)
    complains = reads & happens(rng, 0.0008, count)
    left_at = opened_at + rng.integers(20, 400, count)
    parts = [
        (SENT, np.arange(count), sent_at),
        (DELIVERED, np.flatnonzero(~bounces), delivered_at),
        (OPENED, np.flatnonzero(opens), opened_at),
        (OPENED, again, opened_at + 30_000),
        (CLICKED, np.flatnonzero(clicks), clicked_at),
        (BOUNCED, np.flatnonzero(bounces), delivered_at),
        (UNSUBSCRIBED, np.flatnonzero(leaves), left_at),
        (COMPLAINED, np.flatnonzero(complains), left_at + 30),
    ]
    events = pl.concat(
        pl.DataFrame(
            {
                "message": rows,
                "person": who[rows],
                "second": times[rows],
                "kind": pl.Series([_KINDS[kind]]).new_from_index(0, len(rows)),
            }
        )
        for kind, rows, times in parts
    )
    mailing.left_day[who[bounces & mailing.is_wrong[who]]] = day + 1
    gone = leaves | complains
    mailing.left_day[who[gone]] = np.minimum(
        left_at[gone] // 86_400 + 1, mailing.left_day[who[gone]]
    )
    mailing.unsubscribed.append(pl.DataFrame({"person": who[gone], "second": left_at[gone] + 5}))
    clicked = np.flatnonzero(clicks)
    return Wave(
        campaign=campaign,
        events=events,
        clicks=pl.DataFrame(
            {
                "person": who[clicked],
                "day": clicked_at[clicked] // 86_400,
                "second": clicked_at[clicked] % 86_400,
                "campaign": np.full(len(clicked), campaign.position),
            }
        ),
        groups=pl.DataFrame({"person": targets, "is_held_out": is_held_out}),
        pushes=_caused(rng, campaign, span, people, behaviour, catalogue, who, reads),
    )


def _caused(
    rng: np.random.Generator,
    campaign: Campaign,
    span: Span,
    people: People,
    behaviour: Behaviour,
    catalogue: Catalogue,
    who: Numbers,
    reads: Flags,
) -> Pushes:
    """The orders that receiving the campaign adds, a day to ten after it was sent."""
    day = day_number(campaign.start)
    buys = (np.minimum(people.card_day[who], people.web_day[who]) < day) & (
        behaviour.lapsed_day[who] > day
    )
    taste = np.ones(len(who))
    if campaign.focus is not None:
        taste = np.where(
            behaviour.favourite[who] == catalogue.categories.index(campaign.focus), 1.5, 0.8
        )
    expected = (
        _EXTRA_ORDERS
        * campaign.strength
        * (0.3 + 2.0 * behaviour.promo_response[who])
        * np.where(reads, 2.0, 0.25)
        * taste
        * buys
    )
    person = np.repeat(who, rng.poisson(expected))
    last = min(WINDOW_DAYS, span.first_day + span.days - 1 - day)
    lag = np.minimum(rng.geometric(0.28, len(person)) - 1, max(last, 0))
    return Pushes(person, day + lag, np.full(len(person), campaign.position))


def pushes_of(waves: list[Wave]) -> Pushes:
    """The caused orders of several mailings together."""
    if not waves:
        return Pushes.none()
    pushes = [wave.pushes for wave in waves]
    return Pushes(
        np.concatenate([push.person for push in pushes]),
        np.concatenate([push.day for push in pushes]),
        np.concatenate([push.campaign for push in pushes]),
    )


def credited(orders: pl.DataFrame, waves: list[Wave]) -> Numbers:
    """The campaign that the web shop credits each order with: the last one clicked in ten days."""
    credit = np.full(orders.height, NONE)
    if not waves:
        return credit
    clicks = pl.concat(wave.clicks.select("person", "campaign", clicked="day") for wave in waves)
    found = (
        orders.select("person", "day", "is_web")
        .with_row_index("order")
        .filter("is_web")
        .join(clicks, on="person")
        .filter(pl.col("day").is_between(pl.col("clicked"), pl.col("clicked") + WINDOW_DAYS))
        .group_by("order")
        .agg(pl.col("campaign").sort_by("clicked", "campaign").last())
    )
    credit[found["order"].to_numpy()] = found["campaign"].to_numpy()
    return credit
