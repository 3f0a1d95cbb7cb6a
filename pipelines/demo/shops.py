"""The tills of the shops: tickets by the line, month by month, and the loyalty cards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.demo import slips
from pipelines.demo.catalogue import Catalogue
from pipelines.demo.columns import either
from pipelines.demo.documents import CANCELLED, SALE, Documents
from pipelines.demo.people import NEVER, People
from pipelines.demo.places import Places, Shops
from pipelines.demo.randomness import Dice, Flags, Generator, Numbers, happens, scrambled, weighted
from pipelines.demo.timeline import Span, as_date, euros, local_time
from pipelines.demo.truth import Truth
from pipelines.demo.writers import write_till_csv

SOURCE = "shops"
_TEST_CARDS = 3
_METHODS = ["CB", "Espèces", "CB sans contact", "Chèque cadeau", "Chèque"]


@dataclass(frozen=True)
class Cards:
    """One row a card: its holder (a position, −1 for a test card), number, and day of issue.

    ``first`` and ``second`` give each person's cards as rows of ``number``, −1 without one.
    """

    person: Numbers
    number: pl.Series
    day: Numbers
    first: Numbers
    second: Numbers
    has_email: Flags
    has_phone: Flags

    @property
    def count(self) -> int:
        return len(self.person)


def _card_numbers(count: int) -> pl.Series:
    """Thirteen digits beginning with 299, the last one a check digit as on European articles."""
    body = 299_000_000_000 + scrambled(count, 1_000_000_000, 618_033_989, 141_421)
    digits = (body[:, None] // 10 ** np.arange(11, -1, -1)) % 10
    check = (-(digits * np.tile([1, 3], 6)).sum(axis=1)) % 10
    return pl.Series(body * 10 + check).cast(pl.String)


def build_cards(dice: Dice, people: People, today: int) -> Cards:
    """A card for everybody who took one, and a second for one in seventy who lost the first."""
    rng = dice.of("cards")
    holders = np.flatnonzero(people.card_day != NEVER)
    again = holders[happens(rng, 0.014, len(holders))]
    again_day = people.card_day[again] + rng.integers(60, 900, len(again))
    again, again_day = again[again_day <= today], again_day[again_day <= today]
    tests = _TEST_CARDS if len(holders) > 200 else 0
    person = np.concatenate([holders, again, np.full(tests, -1)])
    day = np.concatenate([people.card_day[holders], again_day, np.full(tests, today - 700)])
    order = np.lexsort((person, day))
    person, day = person[order], day[order]
    rows = np.arange(len(person))
    known = person >= 0
    first, second = np.full(people.count, -1), np.full(people.count, -1)
    second[person[known]] = rows[known]
    first[person[known][::-1]] = rows[known][::-1]
    second[second == first] = -1
    return Cards(
        person=person,
        number=_card_numbers(len(person)),
        day=day,
        first=first,
        second=second,
        has_email=happens(rng, 0.56, len(person)),
        has_phone=happens(rng, 0.86, len(person)),
    )


def cards_shown(rng: Generator, cards: Cards, person: Numbers, day: Numbers) -> Numbers:
    """The card each buyer shows: the second one half the time once it exists; −1 without any."""
    first, second = cards.first[person], cards.second[person]
    newer = (second >= 0) & (cards.day[second] <= day) & happens(rng, 0.5, len(person))
    return np.where(person >= 0, np.where(newer, second, first), -1)


def write_tickets(
    documents: Documents,
    cards: Cards,
    shops: Shops,
    catalogue: Catalogue,
    span: Span,
    dice: Dice,
    folder: Path,
    truth: Truth,
    planted: bool,
) -> Numbers:
    """One file for the month; returns the row of ``cards`` shown on each ticket, −1 for none."""
    rng = dice.of("tickets", span.label, span.start.day)
    headers = documents.headers
    shown = cards_shown(rng, cards, headers["person"].to_numpy(), headers["day"].to_numpy())
    shown = np.where(headers["shows_card"].to_numpy(), shown, -1)
    if not headers.height:
        return shown
    totals = documents.totals
    total = totals["net"] + totals["tax"]
    method = pl.Series(_METHODS).gather(weighted(rng, np.array([38, 12, 40, 5, 5]), len(total)))
    cancelled = headers["kind"] == CANCELLED
    kind = pl.select(
        pl.when(cancelled)
        .then(pl.lit("Annulé"))
        .when((headers["kind"] == SALE) | (total > 0))
        .then(pl.lit("Vente"))
        .otherwise(pl.lit("Retour"))
    ).to_series()
    known = pl.Series(shown >= 0)
    number = cards.number.gather(np.maximum(shown, 0)) if cards.count else pl.Series([""])
    tickets = headers.select(
        "document",
        pl.col("document_id").alias("N° ticket"),
        local_time(headers["day"].to_numpy(), headers["second"].to_numpy()).alias("Date"),
        shops.frame["shop"].gather(headers["shop"]).alias("Magasin"),
        pl.Series(rng.integers(1, 5, headers.height)).alias("Caisse"),
        pl.when(known).then(number).alias("N° carte")
        if cards.count
        else pl.lit(None, dtype=pl.String).alias("N° carte"),
        kind.alias("Type"),
        euros(totals["discount"]).alias("Total remises HT"),
        euros(totals["net"]).alias("Total HT"),
        euros(totals["tax"]).alias("Total TVA"),
        euros(total).alias("Total TTC"),
        pl.when(~cancelled & (total != 0)).then(method).alias("Règlement"),
    )
    product = documents.lines["product"].to_numpy()
    lines = documents.lines.select(
        "document",
        pl.col("line_number").alias("Ligne"),
        catalogue.frame["till_code"].gather(product).alias("Code article"),
        catalogue.frame["product_name"].gather(product).alias("Désignation"),
        pl.col("quantity").alias("Qté"),
        euros(documents.lines["unit"]).alias("Prix unitaire HT"),
        euros(documents.lines["discount"]).alias("Remise HT"),
        euros(documents.lines["net"]).alias("Montant HT"),
        euros(documents.lines["tax"]).alias("Montant TVA"),
    )
    file = lines.join(tickets, on="document", how="left", maintain_order="left").select(
        *tickets.columns[1:7],
        *lines.columns[1:],
        *tickets.columns[7:],
    )
    name = f"tickets_{span.label}.csv"
    if planted:
        file = _with_day_totals(rng, file, name, truth)
    write_till_csv(file, folder / name)
    return shown


def _with_day_totals(rng: Generator, file: pl.DataFrame, name: str, truth: Truth) -> pl.DataFrame:
    """Lines that a till prints for its own sake: no ticket number, no date, a total."""
    count = 1 + file.height // 2_500
    after = np.sort(rng.integers(1, file.height + 1, count))
    totals = file.select(
        pl.lit(None, dtype=kind).alias(column)
        if column not in ("Magasin", "Désignation", "Montant HT")
        else pl.col(column)
        for column, kind in file.schema.items()
    )[after - 1].with_columns(pl.lit("TOTAL JOURNÉE").alias("Désignation"))
    at = pl.concat(
        [
            file.with_columns(at=pl.int_range(1, pl.len() + 1).cast(pl.Float64)),
            totals.with_columns(at=pl.Series(after + 0.5)),
        ]
    ).sort("at", maintain_order=True)
    is_total = at["at"].to_numpy() % 1 > 0
    truth.add_bad_rows(SOURCE, "tickets", name, np.flatnonzero(is_total) + 2, "missing_required")
    return at.drop("at")


def _typed_cards(
    rng: Generator, people: People, places: Places, cards: Cards, today: int
) -> pl.DataFrame:
    """What clerks typed when they made the cards, and corrected since for some."""
    frame = people.frame.with_columns(
        birth_date=pl.Series(people.birth_day.astype(np.int32)).cast(pl.Date)
    )
    who = np.maximum(cards.person, 0)
    one = frame.select(pl.all().gather(who))
    count = cards.count
    corrected = happens(rng, 0.45, count)
    married_since = (people.married_day[who] != NEVER) & (people.married_day[who] > cards.day)
    old_name = pl.Series(married_since & ~corrected)
    moved_since = (people.moved_day[who] != NEVER) & (people.moved_day[who] > cards.day)
    old_home = moved_since & ~corrected
    place = np.where(old_home, people.former_place[who], people.place[who])
    last = either(
        old_name, pl.coalesce(one["former_last_name"], one["last_name"]), one["last_name"]
    )
    first = slips.mistyped(slips.shortened(one["first_name"], rng, 0.012), rng, 0.014)
    last = slips.mistyped(last, rng, 0.016)
    first, last = slips.swapped(first, last, rng, 0.007)
    first = slips.recased(slips.unaccented(first, rng, 0.15), rng, upper=0.12, lower=0.01)
    last = slips.recased(slips.unaccented(last, rng, 0.25), rng, upper=0.62, lower=0.01)
    address = either(old_home, one["former_address_line"], one["address_line"])
    phone = either(happens(rng, 0.22, count), one["landline"], one["mobile"])
    phone = slips.with_placeholders(
        slips.written_phones(phone, rng), rng, 0.012, slips.PLACEHOLDER_PHONES
    )
    # Who shops in both ways keeps an address for shops, or gives the only one.
    has_both = people.web_day[who] != NEVER
    address_given = either(has_both & happens(rng, 0.28, count), one["other_email"], one["email"])
    email = slips.with_placeholders(
        slips.written_emails(address_given, rng, typos=0.012),
        rng,
        0.006,
        slips.PLACEHOLDER_EMAILS,
    )
    changed_day = np.where(
        corrected & (married_since | moved_since),
        np.where(moved_since, people.moved_day[who], people.married_day[who])
        + rng.integers(3, 60, count),
        cards.day,
    )
    return pl.DataFrame(
        {
            "civility": either(one["gender"] == "F", "Mme", "M."),
            "last": last,
            "first": first,
            "birth_date": either(
                happens(rng, 0.74, count), slips.written_birth_dates(one["birth_date"], rng), None
            ),
            "address": slips.written_addresses(address, rng),
            "postcode": places.frame["postcode"].gather(place),
            "city": slips.written_cities(places.frame["city"].gather(place), rng),
            "phone": either(cards.has_phone, phone),
            "email": either(cards.has_email, email),
            "changed": pl.Series(np.minimum(np.maximum(changed_day, cards.day), today)),
        }
    )


def write_cards(
    dice: Dice,
    people: People,
    places: Places,
    shops: Shops,
    home_shop: Numbers,
    cards: Cards,
    spent: Numbers,
    today: int,
    folder: Path,
    truth: Truth,
    bad_birth_dates: Numbers,
) -> None:
    """The card file; ``spent`` is cents before tax per card, ``bad_birth_dates`` its bad rows."""
    if not cards.count:
        return
    rng = dice.of("cards", "typed")
    typed = _typed_cards(rng, people, places, cards, today)
    who = np.maximum(cards.person, 0)
    is_test = pl.Series(cards.person < 0)
    second = pl.Series(rng.integers(36_000, 69_000, cards.count))
    issued = local_time(cards.day, second.to_numpy())
    tier = pl.select(
        pl.when(pl.Series(spent) > 150_000)
        .then(pl.lit("Or"))
        .when(pl.Series(spent) > 50_000)
        .then(pl.lit("Argent"))
        .otherwise(pl.lit("Classique"))
    ).to_series()
    birth_text = typed["birth_date"].dt.strftime("%d/%m/%Y")
    bad = np.zeros(cards.count, dtype=np.bool_)
    bad[bad_birth_dates] = True
    birth_text = either(bad, "31/02/1975", birth_text)
    file = pl.DataFrame(
        {
            "N° carte": cards.number,
            "Civilité": typed["civility"],
            "Nom": either(is_test, "TEST", typed["last"]),
            "Prénom": either(is_test, "Carte", typed["first"]),
            "Date de naissance": birth_text,
            "Adresse": typed["address"],
            "Code postal": typed["postcode"],
            "Ville": typed["city"],
            "Téléphone": typed["phone"],
            "E-mail": typed["email"],
            "Carte interne": either(is_test | pl.Series(people.is_staff[who]), "O", "N"),
            "Date d'adhésion": issued,
            "Niveau": tier,
            "Points": pl.Series(spent // 1_000),
            "Magasin d'origine": shops.frame["shop"].gather(home_shop[who]),
            "Dernière modification": local_time(typed["changed"].to_numpy(), second.to_numpy()),
        }
    )
    name = "cartes_fidelite.csv"
    write_till_csv(file, folder / name)
    truth.add_records(SOURCE, "contacts", cards.number, cards.person)
    if len(bad_birth_dates):
        truth.add_bad_rows(SOURCE, "cards", name, np.sort(bad_birth_dates) + 2, "not_a_date")
    _write_consents(rng, cards, issued, today, folder)


def _write_consents(
    rng: Generator, cards: Cards, issued: pl.Series, today: int, folder: Path
) -> None:
    """What card holders agreed to on paper or at the till; a few took it back since."""
    asked = [("SMS", 0.62, 0.44), ("Courrier", 0.70, 0.58), ("Téléphone", 0.25, 0.22)]
    given = pl.DataFrame({"N° carte": cards.number, "Date": issued})
    last = as_date(today - 20)
    parts = []
    for channel, share, agrees in asked:
        rows = np.flatnonzero(happens(rng, share, cards.count))
        granted = happens(rng, agrees, len(rows))
        answers = given[rows].with_columns(
            pl.lit(channel).alias("Canal"),
            pl.Series("Accord", np.where(granted, "O", "N")),
            pl.Series(
                "Recueil", np.where(happens(rng, 0.7, len(rows)), "Caisse", "Formulaire papier")
            ),
        )
        gone = granted & happens(rng, 0.03, len(rows))
        withdrawn = answers.filter(pl.Series(gone) & (pl.col("Date") < last)).with_columns(
            pl.lit("N").alias("Accord"),
            pl.lit("Service clients").alias("Recueil"),
            pl.col("Date") + pl.duration(days=20),
        )
        parts += [answers, withdrawn]
    consents = pl.concat(parts).sort("Date", "N° carte", "Canal", maintain_order=True)
    write_till_csv(
        consents.select("N° carte", "Canal", "Accord", "Date", "Recueil"),
        folder / "consentements.csv",
    )


def write_articles(catalogue: Catalogue, folder: Path) -> None:
    """The articles as the tills know them."""
    write_till_csv(
        catalogue.frame.select(
            pl.col("till_code").alias("Code article"),
            pl.col("product_name").alias("Désignation"),
            pl.col("category").alias("Rayon"),
            pl.col("brand").alias("Marque"),
            euros(catalogue.price_in(0)).alias("Prix de vente HT"),
            euros(catalogue.cost).alias("Prix de revient"),
            (pl.col("vat") * 100).alias("Taux TVA"),
            pl.when("is_active").then(pl.lit("O")).otherwise(pl.lit("N")).alias("Actif"),
        ),
        folder / "articles.csv",
    )
