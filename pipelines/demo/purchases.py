"""What people buy, month by month: a process with a calendar, habits, events, prices and promos.

Per person and month the expected number of orders is the person's rate times the season of their
kind, a habit that depends on the time since the last order, household events, distance and
mood. Regular buyers are steadier than chance, bargain hunters wait for sales. People leave
because they drift away, a competitor opens, they move, a purchase went wrong, or they age.
Campaigns add orders that would not have happened: each of those is marked with its cause.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.demo.behaviour import (
    AGE,
    BAD_EXPERIENCE,
    BARGAIN_HUNTER,
    BUSINESS,
    COMPETITOR,
    DRIFT_PER_MONTH,
    DRIFTED,
    GIFT_GIVER,
    MOVED_AWAY,
    NESTER,
    OCCASIONAL,
    REGULAR,
    SEASON,
    Behaviour,
)
from pipelines.demo.catalogue import Catalogue
from pipelines.demo.people import NEVER, People
from pipelines.demo.places import Places, Shops
from pipelines.demo.randomness import Dice, Flags, Generator, Numbers, happens, weighted
from pipelines.demo.timeline import Span, day_weights, draw_seconds, is_sale

# Month of the history in which a competitor opens, by rank of the region.
_COMPETITOR_OPENS = {2: 9, 5: 17, 9: 23, 11: 29}
_ANONYMOUS_SHARE = 0.20
_FORGOTTEN_CARD = 0.10
NO_ONE = -1
NONE = -1

_CATEGORY_SEASON = {
    "Art de la table": [8, 6, 6, 7, 9, 7, 7, 6, 8, 7, 9, 14],
    "Bougies et senteurs": [6, 9, 5, 5, 9, 5, 4, 4, 7, 9, 12, 16],
    "Cuisine": [9, 7, 7, 7, 8, 7, 6, 6, 9, 9, 10, 12],
    "Décoration": [8, 7, 8, 8, 8, 7, 7, 6, 10, 9, 9, 12],
    "Jardin et plein air": [2, 3, 10, 15, 16, 14, 11, 7, 4, 2, 1, 2],
    "Jouets et enfants": [5, 4, 4, 4, 5, 5, 4, 4, 6, 8, 18, 30],
    "Linge de maison": [15, 8, 7, 7, 8, 8, 10, 7, 8, 8, 9, 8],
    "Luminaires": [8, 7, 6, 5, 5, 4, 4, 4, 8, 12, 12, 10],
    "Papeterie": [7, 5, 4, 4, 5, 5, 4, 8, 14, 7, 9, 14],
    "Petit mobilier": [9, 7, 7, 7, 7, 6, 7, 5, 10, 8, 7, 5],
    "Épicerie fine": [4, 6, 5, 6, 7, 6, 5, 4, 6, 8, 14, 30],
}
_EVENT_CATEGORIES = [
    ["Art de la table"],
    ["Jouets et enfants", "Linge de maison"],
    ["Petit mobilier", "Luminaires", "Cuisine", "Linge de maison"],
    ["Art de la table", "Décoration"],
]


@dataclass(frozen=True)
class Pushes:
    """Orders that campaigns cause in a span: one position an order."""

    person: Numbers
    day: Numbers
    campaign: Numbers

    @staticmethod
    def none() -> Pushes:
        nothing = np.zeros(0, dtype=np.int64)
        return Pushes(nothing, nothing, nothing)


@dataclass(frozen=True)
class Trade:
    """What a span sold. One row an order in time order; one row a line, in order of its order.

    orders: person (−1 unknown to everybody), day, second, is_web, shop, cause (campaign or −1),
    shows_card, swiss. lines: order (row of orders), product, quantity, and cents before tax:
    unit, discount, net, tax; cost in cents of euro.
    """

    orders: pl.DataFrame
    lines: pl.DataFrame


@dataclass
class World:
    """Everything the process needs to know, and the dice it throws."""

    dice: Dice
    people: People
    behaviour: Behaviour
    places: Places
    shops: Shops
    catalogue: Catalogue
    last_year: int


def _active(world: World, span: Span) -> Numbers:
    """Positions of the people who may buy in the span."""
    people, behaviour = world.people, world.behaviour
    channel_day = np.minimum(people.card_day, people.web_day)
    return np.flatnonzero(
        (channel_day < span.first_day)
        & (behaviour.lapsed_day == NEVER)
        & (behaviour.dormant_until < span.first_day)
    )


def _habit(kind: Numbers, gap: Numbers) -> Numbers:
    """How the days since the last order change the wish for another."""
    steady = np.select([gap < 18, gap < 45, gap < 130], [0.45, 1.0, 1.3], 0.7)
    others = np.select([gap < 30, gap < 120, gap < 330, gap < 600], [1.3, 0.75, 1.0, 0.8], 0.5)
    return np.where(
        kind == REGULAR, steady, np.where((kind == GIFT_GIVER) | (kind == BUSINESS), 1.0, others)
    )


def expected_orders(world: World, span: Span, who: Numbers) -> Numbers:
    """Expected orders of each person in the span, campaigns apart."""
    behaviour = world.behaviour
    kind = behaviour.kind[who]
    month = span.start.month - 1
    gap = span.first_day - behaviour.last_order_day[who]
    since_event = span.first_day - behaviour.event_day[who]
    in_event = (since_event > -45) & (since_event < 140) & (behaviour.event[who] > 0)
    boost = np.where(in_event, np.where(kind == NESTER, 7.0, 1.9), 1.0)
    rise = 1 - 0.10 * behaviour.price_sensitivity[who] * (span.start.year - world.last_year + 3)
    unhappy = np.where(behaviour.unhappy_until[who] >= span.first_day, 0.4, 1.0)
    far = np.exp(-behaviour.distance_km[who] / 90 * (1 - behaviour.web_share[who]))
    drawn: Numbers = (
        behaviour.rate[who]
        * SEASON[kind, month]
        * _habit(kind, gap)
        * boost
        * rise
        * unhappy
        * far
        * span.share_of_month
    )
    return drawn


def _drawn_orders(rng: Generator, kind: Numbers, expected: Numbers) -> Numbers:
    """Counts: at most two for the steady ones, without the ties of chance for the others."""
    steady = kind == REGULAR
    counts = np.zeros(len(kind), dtype=np.int64)
    counts[steady] = rng.binomial(2, np.clip(expected[steady] / 2, 0, 1))
    counts[~steady] = rng.poisson(expected[~steady])
    return np.minimum(counts, 6)


def _order_days(rng: Generator, span: Span, is_web: Flags, waits: Flags) -> Numbers:
    """A day each; bargain hunters take a sale day when the span has one."""
    days = np.zeros(len(is_web), dtype=np.int64)
    span_days = span.first_day + np.arange(span.days)
    on_sale = is_sale(span_days)
    for web in (False, True):
        weights = day_weights(span, web=web)
        for waiting in (False, True):
            where = np.flatnonzero((is_web == web) & (waits == waiting))
            wanted = weights * on_sale if waiting and (weights * on_sale).sum() > 0 else weights
            days[where] = span.first_day + weighted(rng, wanted, len(where))
    return days


def _visits(world: World, span: Span, pushes: Pushes) -> pl.DataFrame:
    """Who buys when and where in the span, in no particular order."""
    rng = world.dice.of("orders", span.label, span.start.day)
    people, behaviour = world.people, world.behaviour
    who = _active(world, span)
    counts = _drawn_orders(rng, behaviour.kind[who], expected_orders(world, span, who))
    own = np.repeat(who, counts)
    joined = np.flatnonzero(
        (people.joined_day >= span.first_day)
        & (people.joined_day < span.first_day + span.days)
        & (np.minimum(people.card_day, people.web_day) != NEVER)
    )
    buys_at_once = np.where(people.card_day[joined] == people.joined_day[joined], 0.88, 0.66)
    joined = joined[happens(rng, buys_at_once, len(joined))]
    person = np.concatenate([own, joined, pushes.person])
    is_web = happens(rng, behaviour.web_share[person], len(person))
    at_joining = slice(len(own), len(own) + len(joined))
    is_web[at_joining] = people.web_day[joined] == people.joined_day[joined]
    is_web |= people.card_day[person] == NEVER
    waits = (behaviour.kind[person] == BARGAIN_HUNTER) & happens(rng, 0.75, len(person))
    day = _order_days(rng, span, is_web, waits)
    day[at_joining] = people.joined_day[joined]
    day[len(own) + len(joined) :] = pushes.day
    is_web &= people.web_day[person] <= day
    cause = np.full(len(person), NONE)
    cause[len(own) + len(joined) :] = pushes.campaign

    strangers = rng.poisson((~is_web).sum() * _ANONYMOUS_SHARE)
    person = np.concatenate([person, np.full(strangers, NO_ONE)])
    is_web = np.concatenate([is_web, np.zeros(strangers, dtype=np.bool_)])
    passing = _order_days(
        rng,
        span,
        is_web[-strangers:] if strangers else is_web[:0],
        np.zeros(strangers, dtype=np.bool_),
    )
    day = np.concatenate([day, passing])
    cause = np.concatenate([cause, np.full(strangers, NONE)])

    at_home = happens(rng, 0.86, len(person)) & (person != NO_ONE)
    anywhere = weighted(rng, world.shops.size.astype(np.float64), len(person))
    shop = np.where(at_home, behaviour.home_shop[person], anywhere)
    second = np.where(
        is_web,
        draw_seconds(rng, len(person), web=True),
        draw_seconds(rng, len(person), web=False),
    )
    shows_card = (
        ~is_web
        & (person != NO_ONE)
        & (people.card_day[person] <= day)
        & ~happens(rng, _FORGOTTEN_CARD, len(person))
    )
    country = world.places.frame["country_code"].to_numpy()[people.place[person]]
    return pl.DataFrame(
        {
            "person": person,
            "day": day,
            "second": second,
            "is_web": is_web,
            "shop": np.where(is_web, NONE, shop),
            "cause": cause,
            "shows_card": shows_card,
            "swiss": is_web & (country == "CH"),
        }
    )


def _products(rng: Generator, world: World, span: Span, person: Numbers, day: Numbers) -> Numbers:
    """A product per line: favourites, what the event needs, or what the season sells."""
    catalogue, behaviour = world.catalogue, world.behaviour
    count = len(person)
    season = np.array(
        [_CATEGORY_SEASON[name][span.start.month - 1] for name in catalogue.categories], dtype=float
    )
    category = weighted(rng, season, count)
    pick = rng.random(count)
    known = person != NO_ONE
    category = np.where(known & (pick < 0.42), behaviour.favourite[person], category)
    category = np.where(
        known & (pick >= 0.42) & (pick < 0.60), behaviour.second_favourite[person], category
    )
    named = {name: position for position, name in enumerate(catalogue.categories)}
    since_event = day - behaviour.event_day[person]
    in_event = known & (since_event > -45) & (since_event < 140) & (pick > 0.55)
    for event, needs in enumerate(_EVENT_CATEGORIES):
        where = np.flatnonzero(in_event & (behaviour.event[person] == event) & (event > 0))
        wanted = np.array([named[need] for need in needs])
        category[where] = wanted[rng.integers(0, len(wanted), len(where))]
    first, size = catalogue.first_of_category[category], catalogue.category_size[category]
    one = first + (size * rng.random(count) ** 2.0).astype(np.int64)
    other = first + (size * rng.random(count) ** 2.0).astype(np.int64)
    counts_price = happens(rng, behaviour.price_sensitivity[person], count)
    price = catalogue.list_price
    return np.where(counts_price & (price[other] < price[one]), other, one)


def amounts(
    unit: Numbers, quantity: Numbers, discount_rate: Numbers, vat: Numbers
) -> dict[str, Numbers]:
    """Cents of each line: discount, net = quantity × unit − discount, and tax on the net."""
    gross = unit * quantity
    discount = np.rint(np.abs(gross) * discount_rate).astype(np.int64) * np.sign(quantity)
    net = gross - discount
    tax = np.rint(net * vat).astype(np.int64)
    return {"unit": unit, "discount": discount, "net": net, "tax": tax}


def _lines(world: World, span: Span, orders: pl.DataFrame) -> pl.DataFrame:
    rng = world.dice.of("lines", span.label, span.start.day)
    behaviour, catalogue = world.behaviour, world.catalogue
    person, day = orders["person"].to_numpy(), orders["day"].to_numpy()
    kind = np.where(person == NO_ONE, OCCASIONAL, behaviour.kind[person])
    more = np.where(kind == BUSINESS, 2.4, np.where(span.start.month == 12, 1.7, 1.2))
    counts = np.minimum(1 + rng.poisson(more), 9)
    order = np.repeat(np.arange(len(person)), counts)
    buyer, bought_on = person[order], day[order]
    product = _products(rng, world, span, buyer, bought_on)
    count = len(order)
    quantity = weighted(rng, np.array([0, 84, 10, 2.5, 2, 0.5, 1]), count)
    bulk = np.ceil(rng.gamma(2.0, 5.0, count)).astype(np.int64)
    quantity = np.where((kind[order] == BUSINESS) & happens(rng, 0.5, count), bulk, quantity)
    on_sale = is_sale(bought_on) & happens(rng, 0.55, count)
    sale_rate = np.array([0.2, 0.3, 0.4, 0.5])[weighted(rng, np.array([4, 4, 2, 1]), count)]
    coupon = (orders["cause"].to_numpy()[order] != NONE) & happens(rng, 0.7, count)
    small = happens(rng, 0.03, count)
    discount_rate = np.select([on_sale, coupon, small], [sale_rate, 0.15, 0.10], 0.0)
    swiss = orders["swiss"].to_numpy()[order]
    unit = catalogue.price_in(world.last_year - span.start.year)[product]
    unit = np.where(swiss, np.rint(unit * 1.09 / 5) * 5, unit).astype(np.int64)
    vat = np.where(swiss, 0.081, catalogue.vat[product])
    return pl.DataFrame(
        {
            "order": order,
            "product": product,
            "quantity": quantity,
            **amounts(unit, quantity, discount_rate, vat),
            "cost": catalogue.cost[product] * quantity,
        }
    )


def trade(world: World, span: Span, pushes: Pushes) -> Trade:
    """The orders of a span with their lines; remembers the last order of each person."""
    orders = _visits(world, span, pushes).sort("day", "second", "person", "shop")
    lines = _lines(world, span, orders)
    last = orders.filter(pl.col("person") != NO_ONE).group_by("person").agg(pl.col("day").max())
    world.behaviour.last_order_day[last["person"].to_numpy()] = last["day"].to_numpy()
    return Trade(orders, lines)


def pass_month(world: World, span: Span, months_passed: int, unhappy: Numbers) -> None:
    """Who leaves at the end of the span and why, who falls silent, who had a bad experience."""
    rng = world.dice.of("lapses", span.label, span.start.day)
    people, behaviour = world.people, world.behaviour
    behaviour.unhappy_until[unhappy] = span.first_day + span.days + 150
    here = np.flatnonzero(
        (np.minimum(people.card_day, people.web_day) < span.first_day + span.days)
        & (behaviour.lapsed_day == NEVER)
    )
    share = span.share_of_month
    physical = 1 - behaviour.web_share[here]
    drift = DRIFT_PER_MONTH[behaviour.kind[here]]
    opened = np.array([_COMPETITOR_OPENS.get(region, 10_000) for region in range(40)])
    rivals = (months_passed >= opened)[behaviour.region[here]] * 0.03 * physical
    moved = (people.moved_day[here] >= span.first_day) & (
        people.moved_day[here] < span.first_day + span.days
    )
    away = moved * np.where(behaviour.distance_km[here] > 25, 0.6, 0.05) * physical
    sour = (behaviour.unhappy_until[here] >= span.first_day) * 0.09
    age = (span.first_day - people.birth_day[here]) / 365.25
    ageing = np.clip((age - 74) * 0.0035, 0, 0.05)
    hazards = np.stack([drift, rivals, away, sour, ageing]) * share
    leaves = happens(rng, 1 - np.exp(-hazards.sum(axis=0)), len(here))
    cause = (np.cumsum(hazards, axis=0) < rng.random(len(here)) * hazards.sum(axis=0)).sum(axis=0)
    reasons = np.array([DRIFTED, COMPETITOR, MOVED_AWAY, BAD_EXPERIENCE, AGE], dtype=np.int8)
    gone = here[leaves]
    behaviour.lapsed_day[gone] = span.first_day + rng.integers(0, span.days, len(gone))
    behaviour.lapse_reason[gone] = reasons[np.minimum(cause[leaves], 4)]
    silent = here[happens(rng, 0.007 * share, len(here))]
    behaviour.dormant_until[silent] = (
        span.first_day + span.days + (30 * rng.uniform(5, 14, len(silent))).astype(np.int64)
    )
