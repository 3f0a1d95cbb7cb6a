"""The organisations that buy gifts for their clients and staff."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.demo.columns import either
from pipelines.demo.contact_points import landlines, street_addresses
from pipelines.demo.names import last_names, slug
from pipelines.demo.places import Places
from pipelines.demo.randomness import Dice, Generator, Numbers, happens, scrambled, weighted
from pipelines.demo.vocabulary import table

INDUSTRIES = [
    "Conseil et services",
    "Banque et assurance",
    "Immobilier",
    "Santé",
    "Hôtellerie et restauration",
    "Industrie",
    "Commerce",
    "Bâtiment",
    "Transport et logistique",
    "Secteur public",
    "Informatique",
    "Association",
]
_INDUSTRY_WEIGHTS = np.array([18, 9, 10, 9, 8, 11, 11, 8, 5, 4, 9, 4])


@dataclass(frozen=True)
class Organisations:
    """One position an organisation; ``parent`` is −1 without one, ``place`` a position."""

    frame: pl.DataFrame
    industry: Numbers
    employees: Numbers
    place: Numbers
    parent: Numbers

    @property
    def count(self) -> int:
        return len(self.industry)


def _registration_numbers(count: int, offset: int) -> tuple[pl.Series, pl.Series]:
    """SIRET and VAT numbers with right check digits, in a range that INSEE has not reached."""
    body = 99_000_000 + scrambled(count, 1_000_000, 618_033, offset)
    digits = (body[:, None] // 10 ** np.arange(7, -1, -1)) % 10
    doubled = digits * np.array([1, 2, 1, 2, 1, 2, 1, 2])
    siren = body * 10 + (-(doubled // 10 + doubled % 10).sum(axis=1)) % 10
    establishment = siren * 10_000 + 1
    digits = (establishment[:, None] // 10 ** np.arange(12, -1, -1)) % 10
    doubled = digits * np.array([2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2])
    siret = establishment * 10 + (-(doubled // 10 + doubled % 10).sum(axis=1)) % 10
    key = (12 + 3 * (siren % 97)) % 97
    vat = pl.select(
        pl.format("FR{}{}", pl.Series(key).cast(pl.String).str.zfill(2), pl.Series(siren))
    ).to_series()
    return pl.Series(siret).cast(pl.String), vat


def _names(rng: Generator, industry: Numbers, surnames: pl.Series) -> pl.Series:
    """Names that fit the industry, with a legal form where companies have one."""
    known, count = table("company_names"), len(surnames)
    pattern = np.zeros(count, dtype=np.int64)
    for position, title in enumerate(INDUSTRIES):
        choices = np.flatnonzero((known["industry"] == title).to_numpy())
        where = np.flatnonzero(industry == position)
        pattern[where] = choices[rng.integers(0, len(choices), len(where))]
    chosen = known[pattern]
    forms = pl.Series(["SARL", "SAS", "SA", "SCOP"])
    form = forms.gather(weighted(rng, np.array([9, 10, 4, 1]), count))
    name = pl.select(
        pl.lit(chosen["name"]).str.replace("{}", pl.lit(surnames), literal=True)
    ).to_series()
    return either(chosen["has_form"] == "yes", pl.concat_str([name, form], separator=" "), name)


def _domains(names: pl.Series) -> pl.Series:
    """Web domains that nobody can own, told apart by a number."""
    bare = slug(names.str.replace(r" (SARL|SAS|SA|SCOP)$", ""), "-").str.strip_chars("-")
    frame = pl.DataFrame({"bare": bare}).with_columns(again=pl.int_range(pl.len()).over("bare"))
    number = pl.when(pl.col("again") > 0).then(pl.format("-{}", pl.col("again") + 1))
    return frame.select(
        pl.concat_str("bare", number.otherwise(pl.lit("")), pl.lit(".example"))
    ).to_series()


def build_organisations(dice: Dice, count: int, places: Places) -> Organisations:
    """Organisations with a name, a size that most share and few exceed, and a head office."""
    rng = dice.of("organisations")
    industry = weighted(rng, _INDUSTRY_WEIGHTS, count)
    french = np.where(places.is_abroad, 0.0, places.frame["inhabitants"].to_numpy())
    place = weighted(rng, french, count)
    name = _names(rng, industry, last_names(rng, count))
    siret, vat_number = _registration_numbers(count, 314_159)
    domain = _domains(name)
    parent = np.where(happens(rng, 0.06, count), rng.integers(0, max(count, 1), count), -1)
    postcodes = places.frame["postcode"].gather(place)
    frame = pl.DataFrame(
        {
            "account_name": name,
            "legal_id": siret,
            "vat_number": vat_number,
            "domain": domain,
            "industry": pl.Series(INDUSTRIES).gather(industry),
            "phone": landlines(count, 271_828, postcodes),
            "address_line": street_addresses(rng, count),
            "postcode": postcodes,
            "city": places.frame["city"].gather(place),
        }
    )
    return Organisations(
        frame=frame,
        industry=industry,
        employees=np.clip(np.exp(rng.normal(3.1, 1.5, count)), 1, 25_000).astype(np.int64),
        place=place,
        parent=np.where(parent == np.arange(count), -1, parent),
    )
