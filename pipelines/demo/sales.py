"""The sales team's clientele: leads that convert for reasons, opportunities, calls, contracts.

A lead's chance depends on where it came from, its industry and size, how soon it was called
back, how much the person had looked at the web site before, and whether they already buy for
themselves; a part of it nobody can know. The weights are written to the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.demo import slips
from pipelines.demo.campaigns import Campaign
from pipelines.demo.columns import either
from pipelines.demo.organisations import Organisations
from pipelines.demo.people import HISTORY_DAYS, People, Professionals
from pipelines.demo.randomness import Dice, Flags, Numbers, happens, weighted
from pipelines.demo.timeline import day_number, draw_seconds, local_time
from pipelines.demo.truth import Truth
from pipelines.demo.writers import write_workbook

SOURCE = "crm"
BASE_CONVERSION = 0.175
CHANNELS = [
    "Formulaire web",
    "Salon",
    "Parrainage",
    "Recherche payante",
    "E-mail",
    "Téléphone",
    "Partenaire",
    "LinkedIn",
]
_CHANNEL_WEIGHTS = np.array([30, 12, 9, 17, 9, 11, 6, 6])
_CHANNEL_EFFECT = np.array([0.05, 0.3, 1.5, -0.3, -1.1, 0.8, 0.9, -0.9])
_INDUSTRY_EFFECT = np.array([0.15, 0.95, 0.6, 0.1, 0.7, -0.2, -0.1, -0.7, -0.8, -1.1, 0.3, -0.5])
PAGES = [
    "/entreprises",
    "/entreprises/cadeaux-clients",
    "/entreprises/paniers-gourmands",
    "/entreprises/cse",
    "/contact",
    "/entreprises/devis",
]
_PAGE_WEIGHTS = np.array([26, 24, 18, 12, 12, 8])
_PAGE_EFFECT = np.array([-0.2, 0.1, 0.3, 0.0, -0.5, 1.0])
INTERESTS = [
    "Cadeaux clients",
    "Paniers gourmands",
    "Cadeaux collaborateurs",
    "Chèques cadeaux",
    "Événement",
    "Aménagement",
]
OWNERS = [
    "Camille Ferrand",
    "Julien Prat",
    "Nadia Amrani",
    "Sophie Delattre",
    "Hugo Marchal",
    "Élise Kervella",
    "Thomas Bousquet",
    "Inès Ribeiro",
]
_OWNER_HOURS = np.array([3, 6, 5, 20, 30, 8, 50, 12])
TEAMS = ["Nord", "Sud", "Grands comptes"]
STAGES = ["Qualification", "Découverte", "Proposition", "Négociation", "Gagnée", "Perdue"]
LOST = ["Prix", "Concurrent", "Projet abandonné", "Sans réponse", "Délais"]


def leads_count(customers: int) -> int:
    """Leads grow more slowly than customers, and fit on a sheet."""
    return int(max(800, min(25_000, customers**0.75)))


@dataclass(frozen=True)
class Leads:
    """One row a lead in the order they came; ``job`` is a row of the professionals.

    Days are day numbers, ``visits`` counts web visits of the month before, ``hours`` the delay of
    the first call; ``effects`` are the log-odds that each reason adds.
    """

    job: Numbers
    lead_id: pl.Series
    day: Numbers
    second: Numbers
    channel: Numbers
    page: Numbers
    owner: Numbers
    interest: Numbers
    visits: Numbers
    hours: Numbers
    effects: dict[str, Numbers]
    chance: Numbers
    converts: Flags
    converted_day: Numbers

    @property
    def count(self) -> int:
        return len(self.job)


def _in_office(moments: Numbers) -> Numbers:
    """The same moment, or the next one at which somebody is at work: weekdays from 9 to 19 h."""
    day, second = moments // 86_400, moments % 86_400
    late, early = second >= 19 * 3_600, second < 9 * 3_600
    second = np.where(late | early, 9 * 3_600 + second % 3_600, second)
    day = day + late
    weekday = (day + 3) % 7
    return np.asarray((day + np.where(weekday >= 5, 7 - weekday, 0)) * 86_400 + second)


def _centred(logit: Numbers, target: float) -> float:
    """What to add to the log-odds for the mean chance to be the target."""
    low, high = -12.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-(logit + middle)))).mean() < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def build_leads(
    dice: Dice,
    count: int,
    people: People,
    jobs: Professionals,
    organisations: Organisations,
    campaigns: list[Campaign],
    today: int,
) -> Leads:
    """Leads over the history, more of them before Christmas and on the days of a fair."""
    rng = dice.of("leads")
    months = np.array([0.9, 0.8, 0.9, 0.9, 1.0, 1.1, 0.7, 0.4, 1.4, 1.6, 1.5, 0.6])
    days = today - HISTORY_DAYS + 1 + np.arange(HISTORY_DAYS)
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
    weekday = (days + 3) % 7
    busy = months[month] * np.where(weekday >= 5, 0.15, 1.0) * np.linspace(0.8, 1.2, len(days))
    day = days[weighted(rng, busy, count)]
    channel = weighted(rng, _CHANNEL_WEIGHTS, count)
    fairs = np.array([day_number(c.start) for c in campaigns if c.channel == "event"], dtype=int)
    at_fair = np.flatnonzero(channel == 1)
    if len(fairs):
        day[at_fair] = np.minimum(
            fairs[rng.integers(0, len(fairs), len(at_fair))] + rng.integers(0, 4, len(at_fair)),
            today,
        )
    second = 8 * 3_600 + (rng.beta(2, 2.4, count) * 12 * 3_600).astype(np.int64)
    order = np.lexsort((second, day))
    day, second, channel = day[order], second[order], channel[order]

    job = rng.permutation(jobs.count)[:count]
    repeated = happens(rng, 0.07, len(job))
    job = np.where(repeated, job[rng.integers(0, len(job), len(job))], job)
    organisation = jobs.organisation[job]
    employees = organisations.employees[organisation]
    owner = weighted(rng, np.array([16, 15, 14, 13, 12, 11, 10, 9]), count)
    came = day * 86_400 + second
    wait = _OWNER_HOURS[owner] * np.exp(rng.normal(0, 0.9, count))
    hours = (_in_office(came + (wait * 3_600).astype(np.int64)) - came) / 3_600
    keen = rng.normal(0, 1, count)
    web = np.isin(channel, (0, 3, 4, 7))
    visits = rng.poisson(np.exp(0.1 + 0.55 * keen) * np.where(web, 1.5, 0.5))
    page = weighted(rng, _PAGE_WEIGHTS, count)
    size = np.log10(employees)
    is_consumer = jobs.person[job] < people.consumers
    effects = {
        "channel_effect": _CHANNEL_EFFECT[channel],
        "industry_effect": _INDUSTRY_EFFECT[organisations.industry[organisation]],
        "size_effect": 1.0 - 1.1 * (size - 1.9) ** 2,
        "page_effect": np.where(web, _PAGE_EFFECT[page], 0.0),
        "delay_effect": -0.35 * np.log2(1 + hours / 6),
        "engagement_effect": 0.42 * np.minimum(visits, 5),
        "known_buyer_effect": np.where(is_consumer, 0.6, 0.0),
        "fair_size_effect": np.where((channel == 1) & (size > 2), 0.8, 0.0),
        "unknowable_effect": 0.35 * keen + rng.normal(0, 0.45, count),
    }
    logit = np.sum(list(effects.values()), axis=0)
    base = _centred(logit, BASE_CONVERSION)
    effects = {"base": np.full(count, base), **effects}
    chance = 1 / (1 + np.exp(-(logit + base)))
    converts = happens(rng, chance, count)
    takes = np.exp(rng.normal(2.7, 0.75, count)) * np.where(keen > 0.5, 0.8, 1.1)
    return Leads(
        job=job,
        lead_id=pl.select(pl.format("L{}", pl.Series(np.arange(count) + 100_001))).to_series(),
        day=day,
        second=second,
        channel=channel,
        page=page,
        owner=owner,
        interest=rng.integers(0, len(INTERESTS), count),
        visits=visits,
        hours=hours,
        effects=effects,
        chance=chance,
        converts=converts,
        converted_day=day + 1 + (hours / 24).astype(np.int64) + takes.astype(np.int64),
    )


def lead_visits(dice: Dice, leads: Leads, jobs: Professionals) -> pl.DataFrame:
    """The web visits before each lead: person, e-mail, day, second, page."""
    rng = dice.of("leads", "visits")
    row = np.repeat(np.arange(leads.count), leads.visits)
    ahead = np.where(happens(rng, 0.4, len(row)), 0, rng.integers(0, 30, len(row)))
    second = np.where(
        ahead == 0,
        leads.second[row] - rng.integers(60, 7_200, len(row)),
        draw_seconds(rng, len(row), web=False),
    )
    return pl.DataFrame(
        {
            "person": jobs.person[leads.job[row]],
            "email": jobs.email.gather(leads.job[row]),
            "day": leads.day[row] - ahead,
            "second": second,
            "page": pl.Series(PAGES).gather(weighted(rng, _PAGE_WEIGHTS, len(row))),
        }
    )


def _text(values: list[str], positions: Numbers) -> pl.Series:
    return pl.Series(values, dtype=pl.String).gather(positions)


def _dates(days: Numbers) -> pl.Series:
    return pl.Series(np.asarray(days, dtype=np.int32)).cast(pl.Date)


def _minutes(days: Numbers, seconds: Numbers) -> pl.Series:
    return local_time(days, seconds // 60 * 60)


@dataclass(frozen=True)
class _Deals:
    """One row an opportunity: its job, lead (a row, −1 for none), and how it goes."""

    opportunity_id: pl.Series
    job: Numbers
    lead: Numbers
    day: Numbers
    owner: Numbers
    amount: Numbers
    last_stage: Numbers
    stage_days: Numbers
    is_won: Flags
    is_lost: Flags
    closed_day: Numbers


def _deals(
    dice: Dice, leads: Leads, jobs: Professionals, organisations: Organisations, today: int
) -> _Deals:
    """An opportunity per converted lead, and those that old clients bring."""
    rng = dice.of("deals")
    converted = np.flatnonzero(leads.converts & (leads.converted_day <= today))
    others = int(leads.count * 0.16)
    lead = np.concatenate([converted, np.full(others, -1)])
    job = np.concatenate([leads.job[converted], rng.integers(0, jobs.count, others)])
    day = np.concatenate(
        [leads.converted_day[converted], today - rng.integers(0, HISTORY_DAYS, others)]
    )
    owner = np.concatenate([leads.owner[converted], rng.integers(0, len(OWNERS), others)])
    order = np.lexsort((job, day))
    lead, job, day, owner = lead[order], job[order], day[order], owner[order]
    count = len(job)
    employees = organisations.employees[jobs.organisation[job]]
    amount = np.rint(np.exp(rng.normal(6.9, 0.7, count)) * employees**0.28 / 10) * 10
    advance = rng.random((count, 4)) < np.array([0.88, 0.82, 0.78, 0.76])
    advance[:, 3] |= happens(rng, 0.25, count) & (lead >= 0)
    reached = np.cumprod(advance, axis=1).sum(axis=1)
    waits = np.ceil(rng.gamma(1.6, [[5, 8, 11, 13]], (count, 4)) + 0.5).astype(np.int64)
    stage_days = day[:, None] + np.concatenate(
        [np.zeros((count, 1), dtype=int), np.cumsum(waits, 1)], 1
    )
    closed_day = np.take_along_axis(stage_days, np.minimum(reached + 1, 4)[:, None], 1)[:, 0]
    is_closed = closed_day <= today
    seen = (stage_days[:, :4] <= today).sum(axis=1)
    return _Deals(
        opportunity_id=pl.select(
            pl.format("OP{}", pl.Series(np.arange(count) + 5_001))
        ).to_series(),
        job=job,
        lead=lead,
        day=day,
        owner=owner,
        amount=amount,
        last_stage=np.minimum(reached, np.maximum(seen - 1, 0)).clip(0, 3),
        stage_days=stage_days,
        is_won=is_closed & (reached == 4),
        is_lost=is_closed & (reached < 4),
        closed_day=closed_day,
    )


@dataclass(frozen=True)
class _Directory:
    """Accounts and contacts that sales entered: ids by organisation and by job, null if none."""

    account_of: pl.Series
    contact_of: pl.Series
    accounts: pl.DataFrame
    contacts: pl.DataFrame


def _ids(prefix: str, chosen: Flags, start: int) -> pl.Series:
    """An id for each chosen position, null for the others."""
    number = pl.Series(np.cumsum(chosen) + start)
    return either(chosen, pl.select(pl.format(prefix + "{}", number)).to_series())


def _directory(
    dice: Dice,
    leads: Leads,
    deals: _Deals,
    people: People,
    jobs: Professionals,
    organisations: Organisations,
    today: int,
    truth: Truth,
) -> _Directory:
    rng = dice.of("directory")
    is_contact = happens(rng, 0.35, jobs.count)
    is_contact[deals.job] = True
    is_account = happens(rng, 0.10, organisations.count)
    is_account[jobs.organisation[is_contact]] = True
    account_of, contact_of = _ids("A", is_account, 1_000), _ids("CT", is_contact, 20_000)

    first_seen = np.full(jobs.count, today - 30)
    np.minimum.at(first_seen, leads.job, leads.day)
    np.minimum.at(first_seen, deals.job, deals.day)
    first_seen -= (rng.gamma(0.4, 60, jobs.count)).astype(np.int64)
    account_seen = np.full(organisations.count, today - 60)
    np.minimum.at(account_seen, jobs.organisation, first_seen)

    rows = np.flatnonzero(is_account)
    twice = rows[happens(rng, 0.025, len(rows))]
    both = np.concatenate([rows, twice])
    again = np.arange(len(both)) >= len(rows)
    frame = organisations.frame.select(pl.all().gather(both))
    name = either(
        again,
        slips.plain(frame["account_name"]).str.to_uppercase().str.replace(r" \w+$", ""),
        frame["account_name"],
    )
    ids = pl.concat([account_of.gather(rows), _ids("A", np.ones(len(twice), dtype=bool), 900_000)])
    seen = account_seen[both] + again * rng.integers(20, 300, len(both))
    seen = np.minimum(seen, today)
    hour = rng.integers(9 * 60, 18 * 60, len(both)) * 60
    parent = organisations.parent[both]
    accounts = pl.DataFrame(
        {
            "Identifiant": ids,
            "Raison sociale": name,
            "SIRET": either(~again & happens(rng, 0.8, len(both)), frame["legal_id"]),
            "N° TVA": either(~again & happens(rng, 0.45, len(both)), frame["vat_number"]),
            "Site web": frame["domain"],
            "Compte parent": either(parent >= 0, account_of.gather(np.maximum(parent, 0))),
            "Secteur": frame["industry"],
            "Effectif": pl.Series(organisations.employees[both]),
            "Téléphone": slips.written_phones(frame["phone"], rng),
            "Adresse": slips.written_addresses(frame["address_line"], rng),
            "Code postal": frame["postcode"],
            "Ville": frame["city"],
            "Pays": pl.Series(["FR"]).new_from_index(0, len(both)),
            "Créé le": _minutes(seen, hour),
            "Modifié le": _minutes(np.minimum(seen + rng.integers(0, 90, len(both)), today), hour),
        }
    ).sort("Créé le", "Identifiant")
    truth.tables["organisations"] = pl.DataFrame(
        {"account_id": ids, "organisation_id": both.astype(np.int32)}
    )

    rows = np.flatnonzero(is_contact)
    twice = rows[happens(rng, 0.03, len(rows))]
    both = np.concatenate([rows, twice])
    again = np.arange(len(both)) >= len(rows)
    person = jobs.person[both]
    who = people.frame.select(pl.col("gender", "first_name", "last_name", "mobile").gather(person))
    first = slips.mistyped(slips.shortened(who["first_name"], rng, 0.03), rng, 0.015)
    last = slips.mistyped(who["last_name"], rng, 0.015)
    first, last = slips.swapped(first, last, rng, 0.01)
    last = slips.recased(last, rng, upper=0.45, lower=0.0)
    phone = either(again, who["mobile"], jobs.phone.gather(both))
    ids = pl.concat([contact_of.gather(rows), _ids("CT", np.ones(len(twice), dtype=bool), 900_000)])
    seen = np.minimum(first_seen[both] + again * 200, today)
    hour = rng.integers(9 * 60, 18 * 60, len(both)) * 60
    has_email = happens(rng, np.where(again, 0.5, 0.93), len(both))
    contacts = pl.DataFrame(
        {
            "Identifiant": ids,
            "Compte": account_of.gather(jobs.organisation[both]),
            "Civilité": either(who["gender"] == "F", "Mme", "M."),
            "Prénom": first,
            "Nom": last,
            "Fonction": jobs.job_title.gather(both),
            "E-mail": either(has_email, slips.written_emails(jobs.email.gather(both), rng)),
            "Téléphone": slips.written_phones(phone, rng),
            "Créé le": _minutes(seen, hour),
            "Modifié le": _minutes(np.minimum(seen + rng.integers(0, 200, len(both)), today), hour),
        }
    ).sort("Créé le", "Identifiant")
    truth.add_records(SOURCE, "contacts", ids, person)
    return _Directory(account_of, contact_of, accounts, contacts)


def _campaign_of(leads: Leads, campaigns: list[Campaign]) -> pl.Series:
    """The campaign behind each lead: the last one begun on the channel it came by."""
    found = pl.Series([None] * leads.count, dtype=pl.String)
    for channel, medium in ((1, "event"), (3, "paid_search"), (4, "email"), (7, "social")):
        running = [c for c in campaigns if c.channel == medium]
        if running:
            starts = np.array([day_number(c.start) for c in running])
            position = np.searchsorted(starts, leads.day, side="right") - 1
            names = pl.Series([c.campaign_id for c in running]).gather(np.maximum(position, 0))
            hit = pl.Series((leads.channel == channel) & (position >= 0))
            found = either(hit, names, found)
    return found


def _lead_sheet(
    dice: Dice,
    leads: Leads,
    deals: _Deals,
    directory: _Directory,
    people: People,
    jobs: Professionals,
    organisations: Organisations,
    campaigns: list[Campaign],
    today: int,
    truth: Truth,
) -> tuple[pl.DataFrame, Flags]:
    """The leads as they stand today, and which of them were never called."""
    rng = dice.of("leads", "sheet")
    count = leads.count
    person = jobs.person[leads.job]
    who = people.frame.select(pl.col("first_name", "last_name").gather(person))
    first = slips.mistyped(slips.shortened(who["first_name"], rng, 0.04), rng, 0.02)
    last = slips.mistyped(who["last_name"], rng, 0.02)
    first, last = slips.swapped(first, last, rng, 0.012)
    first = slips.recased(slips.unaccented(first, rng, 0.12), rng, upper=0.04, lower=0.10)
    last = slips.recased(slips.unaccented(last, rng, 0.12), rng, upper=0.18, lower=0.08)
    organisation = jobs.organisation[leads.job]
    called = leads.day * 86_400 + leads.second + (leads.hours * 3_600).astype(np.int64)
    is_converted = leads.converts & (leads.converted_day <= today)
    never = ~is_converted & happens(rng, 0.08, count)
    is_called = (called < (today + 1) * 86_400) & ~never
    lost_after = leads.day + 25 + rng.integers(0, 60, count)
    is_given_up = happens(rng, 0.82, count)
    is_lost = ~is_converted & (lost_after <= today) & ~leads.converts & is_given_up
    status = np.select(
        [is_converted, is_lost, is_called], ["Converti", "Perdu", "En cours"], "Nouveau"
    )
    deal_of = np.full(count, -1)
    has_lead = deals.lead >= 0
    deal_of[deals.lead[has_lead]] = np.flatnonzero(has_lead)
    # A size in words in a column of numbers: a row that no import can take as it is.
    spoilt = never & is_lost & happens(rng, 0.08, count)
    size = pl.Series(organisations.employees[organisation]).cast(pl.String)
    size = pl.select(
        pl.when(pl.Series(spoilt)).then(pl.format("env. {}", size)).otherwise(size)
    ).to_series()
    page = np.isin(leads.channel, (0, 3, 4, 7))
    touched = np.where(is_converted, leads.converted_day, np.where(is_lost, lost_after, leads.day))
    sheet = pl.DataFrame(
        {
            "Identifiant": leads.lead_id,
            "Créé le": _minutes(leads.day, leads.second),
            "Prénom": first,
            "Nom": last,
            "Société": organisations.frame["account_name"].gather(organisation),
            "Fonction": either(happens(rng, 0.7, count), jobs.job_title.gather(leads.job)),
            "E-mail": slips.written_emails(jobs.email.gather(leads.job), rng),
            "Téléphone": either(
                happens(rng, 0.75, count), slips.written_phones(jobs.phone.gather(leads.job), rng)
            ),
            "Canal": _text(CHANNELS, leads.channel),
            "Page d'arrivée": either(page, _text(PAGES, leads.page)),
            "Campagne": _campaign_of(leads, campaigns),
            "Secteur": either(
                happens(rng, 0.93, count), organisations.frame["industry"].gather(organisation)
            ),
            "Effectif": either(happens(rng, 0.88, count) | spoilt, size),
            "Code postal": organisations.frame["postcode"].gather(organisation),
            "Intérêt": _text(INTERESTS, leads.interest),
            "Commercial": _text(OWNERS, leads.owner),
            "Statut": pl.Series(status),
            "Premier contact le": either(is_called, _minutes(called // 86_400, called % 86_400)),
            "Converti le": either(
                is_converted, _minutes(leads.converted_day, 9 * 3_600 + leads.second // 3)
            ),
            "Affaire": either(deal_of >= 0, deals.opportunity_id.gather(np.maximum(deal_of, 0))),
            "Compte": either(is_converted, directory.account_of.gather(organisation)),
            "Modifié le": _minutes(
                touched, np.maximum(leads.second, 9 * 3_600 + leads.second // 3)
            ),
        }
    )
    truth.add_records(SOURCE, "leads", leads.lead_id, person)
    truth.add_records(SOURCE, "contacts", leads.lead_id, person)
    truth.add_bad_rows(SOURCE, "leads", "crm.xlsx", np.flatnonzero(spoilt) + 2, "not_an_integer")
    truth.tables["leads"] = pl.DataFrame(
        {
            "lead_id": leads.lead_id,
            "person_id": person.astype(np.int32),
            "conversion_probability": leads.chance,
            **{
                name: np.asarray(effect, dtype=np.float64) for name, effect in leads.effects.items()
            },
            "converts": leads.converts,
            "converted_date": either(
                leads.converts,
                pl.Series(leads.converted_day.astype(np.int32)).cast(pl.Date),
            ),
        }
    )
    return sheet, ~is_called


def _activity_sheet(
    dice: Dice,
    leads: Leads,
    deals: _Deals,
    directory: _Directory,
    jobs: Professionals,
    uncalled: Flags,
    today: int,
) -> pl.DataFrame:
    """Calls on leads, visits and meetings along the stages of opportunities, notes."""
    rng = dice.of("activities")
    called = np.flatnonzero(~uncalled)
    follow = np.repeat(called, rng.poisson(0.9, len(called)))
    on_lead = np.concatenate([called, follow])
    moment = leads.day * 86_400 + leads.second + (leads.hours * 3_600).astype(np.int64)
    late = np.concatenate([np.zeros(len(called)), rng.gamma(1.3, 9.0, len(follow)) * 86_400])
    when = _in_office(moment[on_lead] + late.astype(np.int64))
    stages = np.arange(4)
    entered = (stages[None, :] <= deals.last_stage[:, None]) & (deals.stage_days[:, :4] <= today)
    met = np.argwhere(entered & (rng.random(entered.shape) < 0.75))
    deal, stage = (met[:, 0], met[:, 1]) if len(met) else (np.zeros(0, int), np.zeros(0, int))
    when_met = (deals.stage_days[deal, stage] + 1) * 86_400 + rng.integers(36, 72, len(deal)) * 900
    when_met = _in_office(when_met)
    count = len(on_lead) + len(deal)
    kind = np.concatenate(
        [
            np.where(
                np.arange(len(on_lead)) < len(called),
                0,
                weighted(rng, np.array([7, 0, 1, 2]), len(on_lead)),
            ),
            weighted(rng, np.array([2, 3, 4, 1]), len(deal)),
        ]
    )
    job = np.concatenate([leads.job[on_lead], deals.job[deal]])
    is_lead = np.arange(count) < len(on_lead)
    lead_row = np.concatenate([on_lead, np.zeros(len(deal), int)])
    deal_row = np.concatenate([np.zeros(len(on_lead), int), deal])
    moments = np.concatenate([when, when_met])
    owner = np.concatenate([leads.owner[on_lead], deals.owner[deal]])
    lasts = np.where(kind == 0, rng.gamma(1.5, 160, count), rng.gamma(3, 1_100, count))
    lead_ids = leads.lead_id.gather(lead_row)
    sheet = pl.DataFrame(
        {
            "Type": _text(["Appel", "Visite", "Rendez-vous", "Note"], kind),
            "Contact": either(is_lead, lead_ids, directory.contact_of.gather(job)),
            "Compte": either(~is_lead, directory.account_of.gather(jobs.organisation[job])),
            "Lead": either(is_lead, lead_ids),
            "Affaire": either(~is_lead, deals.opportunity_id.gather(deal_row))
            if len(deal)
            else pl.Series([None] * count, dtype=pl.String),
            "Date": _minutes(moments // 86_400, moments % 86_400),
            "Sens": _text(["Sortant", "Entrant"], weighted(rng, np.array([8, 2]), count)),
            "Durée (s)": either(kind != 3, pl.Series(lasts.astype(np.int64))),
            "Résultat": _text(
                ["Joint", "Message laissé", "À rappeler", "Pas de réponse"],
                weighted(rng, np.array([6, 2, 2, 2]), count),
            ),
            "Commercial": _text(OWNERS, owner),
            "Objet": _text(
                ["Premier contact", "Relance", "Présentation de l'offre", "Devis", "Point d'étape"],
                np.where(kind == 0, np.minimum(lead_row % 2, 1), 2 + rng.integers(0, 3, count)),
            ),
        }
    ).filter(pl.Series(moments < (today + 1) * 86_400))
    return sheet.sort("Date", "Contact", "Type", maintain_order=True).select(
        pl.format("AC{}", pl.int_range(1, pl.len() + 1) + 70_000).alias("Identifiant"), pl.all()
    )


def _deal_sheets(
    dice: Dice,
    leads: Leads,
    deals: _Deals,
    directory: _Directory,
    jobs: Professionals,
    organisations: Organisations,
    today: int,
) -> dict[str, pl.DataFrame]:
    rng = dice.of("deals", "sheet")
    count = len(deals.job)
    organisation = jobs.organisation[deals.job]
    closed = deals.is_won | deals.is_lost
    stage = np.where(deals.is_won, 4, np.where(deals.is_lost, 5, deals.last_stage))
    hour = rng.integers(9 * 60, 18 * 60, count) * 60
    seen = np.where(
        closed,
        deals.closed_day,
        np.take_along_axis(deals.stage_days, deals.last_stage[:, None], 1)[:, 0]
        if count
        else deals.day,
    )
    name = pl.select(
        pl.format(
            "{} - {}",
            _text(INTERESTS, rng.integers(0, len(INTERESTS), count)),
            organisations.frame["account_name"].gather(organisation),
        )
    ).to_series()
    team = np.where(organisations.employees[organisation] > 500, 2, deals.owner % 2)
    affairs = pl.DataFrame(
        {
            "Identifiant": deals.opportunity_id,
            "Lead": either(deals.lead >= 0, leads.lead_id.gather(np.maximum(deals.lead, 0))),
            "Contact": directory.contact_of.gather(deals.job),
            "Compte": directory.account_of.gather(organisation),
            "Intitulé": name,
            "Commercial": _text(OWNERS, deals.owner),
            "Équipe": _text(TEAMS, team),
            "Étape": _text(STAGES, stage),
            "Montant": deals.amount,
            "Devise": pl.Series(["EUR"]).new_from_index(0, count),
            "Créée le": _minutes(deals.day, hour),
            "Clôture prévue": pl.Series(
                (deals.day + 45 + rng.integers(0, 60, count)).astype(np.int32)
            ).cast(pl.Date),
            "Clôturée le": either(closed, _minutes(deals.closed_day, hour)),
            "Gagnée": pl.select(
                pl.when(pl.Series(deals.is_won))
                .then(pl.lit("Oui"))
                .when(pl.Series(deals.is_lost))
                .then(pl.lit("Non"))
            ).to_series(),
            "Motif de perte": either(
                deals.is_lost, _text(LOST, weighted(rng, np.array([30, 25, 20, 18, 7]), count))
            ),
            "Modifiée le": _minutes(seen, hour),
        }
    )
    steps = [
        pl.DataFrame(
            {
                "Affaire": deals.opportunity_id.gather(rows),
                "Étape": pl.Series([STAGES[number]]).new_from_index(0, len(rows)),
                "Entrée le": _minutes(days[rows], hour[rows]),
            }
        )
        for number, rows, days in [
            *(
                (number, np.flatnonzero(deals.last_stage >= number), deals.stage_days[:, number])
                for number in range(4)
            ),
            (4, np.flatnonzero(deals.is_won), deals.closed_day),
            (5, np.flatnonzero(deals.is_lost), deals.closed_day),
        ]
    ]
    signed = np.flatnonzero(deals.is_won & happens(rng, 0.35, count))
    started = deals.closed_day[signed] + 1
    ended = started + 364
    broken = happens(rng, 0.08, len(signed)) & (started + 150 <= today)
    renewed = ~broken & (ended < today) & happens(rng, 0.6, len(signed))
    over = ~broken & ~renewed & (ended < today)
    contracts = pl.DataFrame(
        {
            "Identifiant": pl.select(
                pl.format("K{}", pl.Series(np.arange(len(signed)) + 301))
            ).to_series(),
            "Contact": directory.contact_of.gather(deals.job[signed]),
            "Compte": directory.account_of.gather(organisation[signed]),
            "Intitulé": pl.Series(["Contrat-cadre cadeaux"]).new_from_index(0, len(signed)),
            "Début": _dates(started),
            "Fin": _dates(ended + 365 * renewed),
            "Renouvelé le": either(renewed, _minutes(ended, hour[signed])),
            "Résilié le": either(broken, _minutes(started + 140, hour[signed])),
            "Montant": deals.amount[signed] * 2,
            "Devise": pl.Series(["EUR"]).new_from_index(0, len(signed)),
            "Statut": pl.Series(np.select([broken, over], ["Résilié", "Terminé"], "Actif")),
        }
    )
    return {
        "Affaires": affairs,
        "Étapes": pl.concat(steps).sort("Entrée le", "Affaire", maintain_order=True),
        "Contrats": contracts,
    }


def write_sales(
    dice: Dice,
    leads: Leads,
    people: People,
    jobs: Professionals,
    organisations: Organisations,
    campaigns: list[Campaign],
    today: int,
    folder: Path,
    truth: Truth,
) -> None:
    """The workbook that the sales team exports, a sheet an object."""
    deals = _deals(dice, leads, jobs, organisations, today)
    directory = _directory(dice, leads, deals, people, jobs, organisations, today, truth)
    lead_sheet, uncalled = _lead_sheet(
        dice, leads, deals, directory, people, jobs, organisations, campaigns, today, truth
    )
    sheets = {
        "Comptes": directory.accounts,
        "Contacts": directory.contacts,
        "Leads": lead_sheet,
        **_deal_sheets(dice, leads, deals, directory, jobs, organisations, today),
        "Activités": _activity_sheet(dice, leads, deals, directory, jobs, uncalled, today),
    }
    write_workbook(sheets, folder / "crm.xlsx", mixed=frozenset({"Effectif"}))
