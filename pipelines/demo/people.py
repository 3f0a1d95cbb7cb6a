"""Who exists: people in households, and the professionals of client organisations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipelines.demo.columns import either
from pipelines.demo.contact_points import foreign_phones, landlines, mobiles, street_addresses
from pipelines.demo.names import first_names, last_names, personal_emails, slug, unique_addresses
from pipelines.demo.organisations import Organisations
from pipelines.demo.places import Places
from pipelines.demo.randomness import Dice, Flags, Generator, Numbers, happens, weighted
from pipelines.demo.timeline import day_number

NEVER = 2**31 - 1
HISTORY_DAYS = 1_096
JOB_TITLES = [
    "Responsable des achats",
    "Assistante de direction",
    "Directeur général",
    "Responsable communication",
    "Directrice des ressources humaines",
    "Office manager",
    "Gérant",
    "Chef de projet",
    "Responsable marketing",
    "Comité social et économique",
]


@dataclass
class People:
    """One position a person: consumers first, then professionals who are not also consumers.

    ``frame`` holds what people are called and where they are reached. Days are day numbers,
    ``NEVER`` for what has not happened: ``card_day``, ``web_day`` and ``newsletter_day`` are the
    days on which somebody took a loyalty card, a web account, a newsletter.
    """

    frame: pl.DataFrame
    consumers: int
    household: Numbers
    is_woman: Flags
    birth_day: Numbers
    place: Numbers
    former_place: Numbers
    moved_day: Numbers
    married_day: Numbers
    joined_day: Numbers
    card_day: Numbers
    web_day: Numbers
    newsletter_day: Numbers
    is_staff: Flags

    @property
    def count(self) -> int:
        return len(self.household)


@dataclass(frozen=True)
class Professionals:
    """One row a job held: the person (a position in ``People``) and the organisation."""

    person: Numbers
    organisation: Numbers
    email: pl.Series
    phone: pl.Series
    job_title: pl.Series

    @property
    def count(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class _Households:
    """The household of each person, the rank in it, and the position of its head."""

    household: Numbers
    rank: Numbers
    head: Numbers


def _households(rng: Generator, count: int) -> _Households:
    sizes = weighted(rng, np.array([0.50, 0.33, 0.10, 0.07]), count) + 1
    household = np.repeat(np.arange(count), sizes)[:count]
    head = np.searchsorted(household, household)
    return _Households(household, np.arange(count) - head, head)


def _birth_days(rng: Generator, homes: _Households, today: int) -> tuple[Numbers, Flags, Flags]:
    """Birth days; who is a child of the head; who is a twin of the one before."""
    count = len(homes.head)
    age = np.clip(rng.normal(48, 16, count), 18, 92)
    head_age = age[homes.head]
    partner_age = np.clip(head_age + rng.normal(-1.5, 3.5, count), 18, 94)
    age = np.where(homes.rank == 1, partner_age, age)
    child_age = head_age - rng.uniform(20, 38, count)
    is_child = (homes.rank >= 2) & (child_age >= 18)
    age = np.where(is_child, child_age, age)
    born = today - (age * 365.25).astype(np.int64)
    is_twin = (homes.rank == 3) & is_child & np.roll(is_child, 1) & happens(rng, 0.10, count)
    is_twin |= (homes.rank == 1) & happens(rng, 0.006, count)
    born = np.where(is_twin, np.roll(born, 1), born)
    return born, is_child, is_twin


def _consumer_names(
    rng: Generator, homes: _Households, is_woman: Flags, born: Numbers, shares: Flags, child: Flags
) -> tuple[pl.Series, pl.Series]:
    """Names: families share the last, a few sons are called like their fathers."""
    count = len(born)
    first = first_names(rng, is_woman, _years(born))
    is_namesake = child & ~is_woman & ~is_woman[homes.head] & happens(rng, 0.02, count)
    first = first.gather(np.where(is_namesake, homes.head, np.arange(count)))
    last = last_names(rng, count)
    return first, last.gather(np.where(shares, homes.head, np.arange(count)))


def _join_days(rng: Generator, count: int, today: int) -> Numbers:
    """When each person came: half of them before the history begins, more each year since."""
    before = happens(rng, 0.48, count)
    since = HISTORY_DAYS * rng.random(count) ** 0.95
    start = today - HISTORY_DAYS
    joined = np.where(before, start - 2_200 * rng.random(count) ** 1.3, start + since)
    # A third of those who come in summer waited for the end of the year.
    month = joined.astype(np.int64).astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
    late = np.isin(month, (5, 6, 7)) & happens(rng, 0.33, count) & (joined + 150 < today)
    return np.where(late, joined + 150, joined).astype(np.int64)


def _consumers(dice: Dice, count: int, places: Places, today: int) -> People:
    """The people who shop for themselves."""
    rng = dice.of("people", "consumers")
    homes = _households(rng, count)
    born, is_child, is_twin = _birth_days(rng, homes, today)
    head_is_woman = happens(rng, 0.58, count)
    partner_is_woman = np.where(happens(rng, 0.96, count), ~head_is_woman, head_is_woman)
    is_woman = np.where(
        homes.rank == 1,
        partner_is_woman[homes.head],
        np.where(homes.rank == 0, head_is_woman, happens(rng, 0.52, count)),
    )
    shares_name = (homes.rank > 0) & happens(rng, np.where(is_child, 0.94, 0.70), count)
    shares_name |= is_twin
    first, last = _consumer_names(rng, homes, is_woman, born, shares_name, is_child)

    age_days = today - born
    marries = is_woman & (age_days < 45 * 365) & happens(rng, 0.04, count)
    married_day = np.where(marries, today - (HISTORY_DAYS * rng.random(count)).astype(int), NEVER)
    new_name = last_names(rng, count)
    former_last = either(marries, last)
    last = either(marries, new_name, last)

    place = weighted(rng, places.weights, count)[homes.head]
    address = street_addresses(rng, count).gather(homes.head)
    moves = (happens(rng, 0.09, count) & (age_days < 70 * 365))[homes.head]
    moved_day = np.where(
        moves, (today - (HISTORY_DAYS * rng.random(count)).astype(np.int64))[homes.head], NEVER
    )
    near = happens(rng, 0.6, count)
    other_place = np.where(near, place, weighted(rng, places.weights, count))
    other_place = np.where(places.is_abroad[place], place, other_place)[homes.head]
    former_address = street_addresses(rng, count).gather(homes.head)

    postcodes = places.frame["postcode"].gather(place)
    shares_mobile = (homes.rank > 0) & happens(rng, np.where(is_child, 0.10, 0.05), count)
    own = np.arange(count)
    mobile = mobiles(count, 20_011).gather(np.where(shares_mobile, homes.head, own))
    mobile = foreign_phones(mobile, places.frame["country_code"].gather(place))
    landline = landlines(count, 7_001, postcodes).gather(homes.head)
    emails = personal_emails(
        rng, pl.concat([first, first]), pl.concat([last, last]), np.tile(_years(born), 2)
    )
    shares_email = (homes.rank == 1) & happens(rng, 0.05, count)
    email = emails.head(count).gather(np.where(shares_email, homes.head, own))

    joined_day = _join_days(rng, count, today)
    kind = weighted(rng, np.array([0.36, 0.23, 0.29, 0.12]), count)
    kind = np.where(places.is_abroad[place], np.where(kind == 3, 3, 1), kind)
    later = joined_day + (rng.gamma(1.2, 240, count)).astype(np.int64)
    card_first = happens(rng, 0.55, count)
    both = kind == 2
    card_day = np.where(kind == 0, joined_day, NEVER)
    card_day = np.where(both, np.where(card_first, joined_day, later), card_day)
    web_day = np.where(kind == 1, joined_day, NEVER)
    web_day = np.where(both, np.where(card_first, later, joined_day), web_day)
    newsletter_day = np.where(kind == 3, joined_day, NEVER)
    frame = pl.DataFrame(
        {
            "gender": pl.Series(np.where(is_woman, "F", "M")),
            "first_name": first,
            "last_name": last,
            "former_last_name": former_last,
            "address_line": address,
            "former_address_line": former_address,
            "mobile": mobile,
            "landline": landline,
            "email": email,
            "other_email": emails.tail(count),
            "is_twin": pl.Series(is_twin),
        }
    )
    return People(
        frame=frame,
        consumers=count,
        household=homes.household,
        is_woman=is_woman,
        birth_day=born,
        place=place,
        former_place=np.where(moves, other_place, place),
        moved_day=moved_day,
        married_day=married_day,
        joined_day=joined_day,
        card_day=np.where(card_day <= today, card_day, NEVER),
        web_day=np.where(web_day <= today, web_day, NEVER),
        newsletter_day=newsletter_day,
        is_staff=happens(rng, 0.0012, count) & (card_day <= today),
    )


def _years(days: Numbers) -> Numbers:
    return np.asarray(days.astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970)


def _professionals(
    dice: Dice, count: int, consumers: People, organisations: Organisations, today: int
) -> tuple[People, Professionals]:
    """The people who buy for their organisations; one in twelve is also a consumer of ours."""
    rng = dice.of("people", "professionals")
    grown = np.flatnonzero(
        (today - consumers.birth_day > 23 * 365)
        & (today - consumers.birth_day < 64 * 365)
        & ~consumers.is_staff
    )
    twofold = min(int(count * 0.08), len(grown) // 4)
    known = np.sort(rng.choice(grown, twofold, replace=False)) if twofold else grown[:0]
    new = count - twofold
    organisation = weighted(rng, np.log1p(organisations.employees), count)
    is_woman = happens(rng, 0.56, new)
    born = today - (np.clip(rng.normal(43, 10, new), 22, 66) * 365.25).astype(np.int64)
    first, last = first_names(rng, is_woman, _years(born)), last_names(rng, new)
    all_first = pl.concat([consumers.frame["first_name"].gather(known), first])
    all_last = pl.concat([consumers.frame["last_name"].gather(known), last])
    domains = organisations.frame["domain"].gather(organisation)
    initial = pl.Series(happens(rng, 0.25, organisations.count)).gather(organisation)
    local = pl.select(
        pl.concat_str(
            pl.when(initial).then(slug(all_first).str.slice(0, 1)).otherwise(slug(all_first, "-")),
            pl.lit("."),
            slug(all_last),
        )
    ).to_series()
    emails = unique_addresses(local, domains)
    own_mobile = mobiles(new, 77_777_777)
    all_mobile = pl.concat([consumers.frame["mobile"].gather(known), own_mobile])
    direct = landlines(count, 31_000_003, organisations.frame["postcode"].gather(organisation))
    line = pl.Series(weighted(rng, np.array([42, 40, 18]), count))
    phone = pl.select(
        pl.when(line == 0)
        .then(organisations.frame["phone"].gather(organisation))
        .when(line == 1)
        .then(all_mobile)
        .otherwise(direct)
    ).to_series()
    at = organisation[twofold:]
    joined = _join_days(rng, new, today)
    absent = pl.Series([None] * new, dtype=pl.String)
    place = organisations.place[at]
    people = People(
        frame=pl.DataFrame(
            {
                "gender": pl.Series(np.where(is_woman, "F", "M")),
                "first_name": first,
                "last_name": last,
                "former_last_name": absent,
                "address_line": organisations.frame["address_line"].gather(at),
                "former_address_line": absent,
                "mobile": own_mobile,
                "landline": organisations.frame["phone"].gather(at),
                "email": emails.slice(twofold),
                "other_email": emails.slice(twofold),
                "is_twin": pl.Series(np.zeros(new, dtype=np.bool_)),
            }
        ),
        consumers=0,
        household=consumers.count + np.arange(new),
        is_woman=is_woman,
        birth_day=born,
        place=place,
        former_place=place,
        moved_day=np.full(new, NEVER),
        married_day=np.full(new, NEVER),
        joined_day=joined,
        card_day=np.full(new, NEVER),
        web_day=np.where(happens(rng, 0.15, new), joined, NEVER),
        newsletter_day=np.where(happens(rng, 0.10, new), joined, NEVER),
        is_staff=np.zeros(new, dtype=np.bool_),
    )
    jobs = Professionals(
        person=np.concatenate([known, consumers.count + np.arange(new)]),
        organisation=organisation,
        email=emails,
        phone=phone,
        job_title=pl.Series(JOB_TITLES).gather(rng.integers(0, len(JOB_TITLES), count)),
    )
    return people, jobs


def build_people(
    dice: Dice,
    customers: int,
    professionals: int,
    until: date,
    places: Places,
    organisations: Organisations,
) -> tuple[People, Professionals]:
    """``customers`` consumers and the professionals of the organisations, as of ``until``."""
    today = day_number(until)
    consumers = _consumers(dice, customers, places, today)
    others, jobs = _professionals(dice, professionals, consumers, organisations, today)
    together = {
        name: np.concatenate([getattr(consumers, name), getattr(others, name)])
        for name in People.__dataclass_fields__
        if name not in ("frame", "consumers")
    }
    frame = pl.concat([consumers.frame, others.frame])
    staff_email = pl.concat_str(
        slug(frame["first_name"], "-"),
        pl.lit("."),
        slug(frame["last_name"], "-"),
        pl.lit("@maison-vernelle.example"),
    )
    frame = frame.with_columns(
        email=pl.when(pl.Series(together["is_staff"])).then(staff_email).otherwise("email")
    )
    return People(frame=frame, consumers=customers, **together), jobs
