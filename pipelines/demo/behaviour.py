"""How each person shops, and what happens in their lives.

Nothing here is gamma or geometric: people follow the calendar, their household's events, prices
and habits, and leave for reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.demo.catalogue import Catalogue
from pipelines.demo.people import HISTORY_DAYS, NEVER, People
from pipelines.demo.places import Places, Shops
from pipelines.demo.randomness import Dice, Generator, Numbers, happens, weighted, weighted_by_row
from pipelines.demo.timeline import FUTURE_DAYS

OCCASIONAL, GIFT_GIVER, BARGAIN_HUNTER, REGULAR, NESTER, BUSINESS = range(6)
KINDS = ["occasional", "gift giver", "bargain hunter", "regular", "nester", "business"]
EVENTS = ["none", "baby", "new home", "wedding"]
REASONS = ["none", "drifted away", "competitor", "moved away", "bad experience", "age"]
NOT_LAPSED, DRIFTED, COMPETITOR, MOVED_AWAY, BAD_EXPERIENCE, AGE = range(6)

# Orders a month of an active person, and the spread of it within the kind.
_RATE = np.array([0.075, 0.135, 0.135, 0.520, 0.075, 0.110])
_RATE_SPREAD = np.array([0.50, 0.45, 0.55, 0.35, 0.40, 0.60])
DRIFT_PER_MONTH = np.array([0.020, 0.013, 0.022, 0.014, 0.024, 0.016])

#                       J    F    M    A    M    J    J    A    S    O    N    D
SEASON = np.array(
    [
        [0.9, 0.8, 0.9, 0.9, 1.0, 0.9, 0.9, 0.6, 1.0, 0.9, 1.2, 1.9],
        [0.2, 0.8, 0.2, 0.3, 1.6, 0.7, 0.2, 0.1, 0.3, 0.4, 1.6, 5.6],
        [2.6, 1.0, 0.4, 0.4, 0.5, 1.6, 2.2, 0.6, 0.5, 0.5, 2.0, 0.7],
        [0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.7, 1.1, 1.0, 1.1, 1.3],
        [0.9, 0.8, 1.1, 1.2, 1.2, 1.0, 0.9, 0.7, 1.2, 1.1, 1.0, 1.0],
        [0.7, 0.5, 0.5, 0.5, 0.6, 0.9, 0.4, 0.2, 0.8, 1.2, 2.6, 3.1],
    ]
)


@dataclass
class Behaviour:
    """One position a person, as in ``People``; ``state`` arrays change as the months pass.

    ``rate`` is orders a month; shares and responses lie between 0 and 1, days are day numbers.
    """

    kind: Numbers
    rate: Numbers
    price_sensitivity: Numbers
    promo_response: Numbers
    openness: Numbers
    web_share: Numbers
    favourite: Numbers
    second_favourite: Numbers
    event: Numbers
    event_day: Numbers
    home_shop: Numbers
    distance_km: Numbers
    region: Numbers
    lapsed_day: Numbers
    lapse_reason: Numbers
    last_order_day: Numbers
    unhappy_until: Numbers
    dormant_until: Numbers


def _favourites(rng: Generator, people: People, catalogue: Catalogue) -> tuple[Numbers, Numbers]:
    """Two categories each; tastes differ by gender and age a little."""
    size = len(catalogue.categories)
    weights = np.tile(np.linspace(1.4, 0.7, size), (people.count, 1))
    named = {name: position for position, name in enumerate(catalogue.categories)}
    young = people.birth_day > np.quantile(people.birth_day, 0.7)
    weights[people.is_woman, named["Linge de maison"]] *= 1.4
    weights[~people.is_woman, named["Cuisine"]] *= 1.3
    weights[~people.is_woman, named["Épicerie fine"]] *= 1.5
    weights[young, named["Décoration"]] *= 1.6
    weights[~young, named["Art de la table"]] *= 1.5
    second = weighted(rng, np.ones(size), people.count)
    return weighted_by_row(rng, weights).astype(np.int8), second.astype(np.int8)


def build_behaviour(
    dice: Dice, people: People, places: Places, shops: Shops, catalogue: Catalogue, today: int
) -> Behaviour:
    """Draw what people are like; a quarter of the old customers left before the history begins."""
    rng = dice.of("behaviour")
    count = people.count
    kind = weighted(rng, np.array([38, 24, 15, 12, 11]), count)
    kind[people.consumers :] = BUSINESS
    start = today - HISTORY_DAYS
    event = weighted(rng, np.array([62, 12, 18, 8]), count)
    event[people.consumers :] = 0
    moved = people.moved_day != NEVER
    event = np.where(moved, 2, np.where(people.married_day != NEVER, 3, event))
    event_day = start + (rng.random(count) * (HISTORY_DAYS + FUTURE_DAYS)).astype(np.int64)
    event_day = np.where(moved, people.moved_day, event_day)
    event_day = np.where(people.married_day != NEVER, people.married_day, event_day)
    favourite, second = _favourites(rng, people, catalogue)
    has_card, has_web = people.card_day != NEVER, people.web_day != NEVER
    web_share = np.where(has_card & has_web, rng.beta(1.2, 1.4, count), has_web * 1.0)
    distance = places.distance_km[people.place]
    regions = places.frame["region"].fill_null("").rank("dense").to_numpy() - 1
    left_before = (people.joined_day < start) & happens(rng, 0.25, count)
    spread = np.exp(rng.normal(0, 1, count) * _RATE_SPREAD[kind])
    return Behaviour(
        kind=kind.astype(np.int8),
        rate=(_RATE[kind] * spread).astype(np.float32),
        price_sensitivity=np.where(
            kind == BARGAIN_HUNTER, rng.beta(5, 2, count), rng.beta(2, 3, count)
        ).astype(np.float32),
        promo_response=rng.beta(1.6, 3.0, count).astype(np.float32),
        openness=rng.beta(1.3, 2.6, count).astype(np.float32),
        web_share=web_share.astype(np.float32),
        favourite=favourite,
        second_favourite=second,
        event=event.astype(np.int8),
        event_day=event_day.astype(np.int64),
        home_shop=places.nearest_shop[people.place].astype(np.int64),
        distance_km=distance.astype(np.float32),
        region=regions[people.place].astype(np.int16),
        lapsed_day=np.where(left_before, start - 1, NEVER),
        lapse_reason=np.where(left_before, DRIFTED, NOT_LAPSED).astype(np.int8),
        last_order_day=np.where(
            people.joined_day < start, start - (rng.gamma(1.3, 150, count)).astype(np.int64), 0
        ),
        unhappy_until=np.zeros(count, dtype=np.int64),
        dormant_until=np.zeros(count, dtype=np.int64),
    )
