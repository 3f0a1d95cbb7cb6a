"""What may be known of a lead when it comes in, and how it becomes numbers.

``lead_features`` has one row per source and lead. A column enters a score only when it is on the
list below, or when the caller declares it as known at creation; a column that is filled later
(who followed the lead, how fast, what became of it) would let the outcome leak into its own
prediction, and is refused. So is what a source declares as entered later (``known_at``): the list
says when a field usually is known, the source says when it is known there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from cohorte.errors import SettingsError
from cohorte.said import said
from cohorte.sources import KnownAt, Source
from models.encoding import FeatureEncoder, Kind, kind_of
from models.leads.rules import TESTED, LeadRules, met_columns

__all__ = [
    "FEATURES",
    "OUTCOME_COLUMNS",
    "Feature",
    "LeadTable",
    "Refused",
    "choose_features",
    "encoder_of",
    "read_leads",
    "refused_features",
]

FloatArray = npt.NDArray[np.float64]
TWO_YEARS = 730.0

KEY_COLUMNS = ("source", "lead_id", "created_at", "known_at", "as_of")


@dataclass(frozen=True)
class Feature:
    """One column of ``lead_features`` that a score may use.

    ``known_at`` says from when the value is there; only ``creation`` can predict. ``yearly``
    marks a place in the year: a season seen once cannot be told from a trend.
    """

    name: str
    kind: Kind
    words: Mapping[str, str]
    known_at: Literal["creation"] = "creation"
    yearly: bool = False


def _feature(name: str, kind: Kind, en: str, fr: str, *, yearly: bool = False) -> Feature:
    return Feature(name, kind, {"en": en, "fr": fr}, yearly=yearly)


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        _feature("channel", "category", "Channel", "Canal"),
        _feature("landing_page", "category", "Landing page", "Page d’arrivée"),
        _feature("campaign_channel", "category", "Channel of the campaign", "Canal de la campagne"),
        _feature("industry", "category", "Industry", "Secteur"),
        _feature("interest", "category", "Interest", "Intérêt"),
        _feature("employees_count", "number", "Employees", "Effectif"),
        _feature("country_code", "category", "Country", "Pays"),
        _feature("postcode_area", "category", "Postcode area", "Zone postale"),
        _feature("source", "category", "Source", "Source"),
        _feature("has_email", "number", "Gave an e-mail", "E-mail donné"),
        _feature("has_phone", "number", "Gave a phone number", "Téléphone donné"),
        _feature("has_company_name", "number", "Named an organisation", "Organisation nommée"),
        _feature("orders_count_before", "number", "Orders before", "Commandes avant"),
        _feature("web_visits_90d_before", "number", "Web visits before", "Visites web avant"),
        _feature(
            "email_reactions_90d_before",
            "number",
            "E-mail reactions before",
            "Réactions e-mail avant",
        ),
        _feature("created_weekday", "number", "Day of the week", "Jour de la semaine"),
        _feature("created_month", "number", "Month", "Mois", yearly=True),
    )
}
"""The allow-list: columns of ``lead_features`` known when the lead comes in."""

OUTCOME_COLUMNS: frozenset[str] = frozenset(
    {
        "is_converted",
        "converted_at",
        "converted_date",
        "conversion_known_at",
        "days_to_conversion",
        "is_won",
        "won_at",
        "lost_reason",
        "opportunity_id",
        "status",
        "stage",
        "owner",
        "amount",
        "closed_at",
        "updated_at",
        "first_contacted_at",
        "first_response_at",
        "hours_to_first_contact",
        "hours_to_first_response",
        "days_to_first_contact",
        "response_delay",
    }
)
"""The outcome, and what is filled on the way to it."""


MADE_FROM: dict[str, tuple[str, ...]] = {
    "email": ("has_email",),
    "phone": ("has_phone",),
    "company_name": ("has_company_name",),
    "postcode": ("postcode_area",),
    "campaign_id": ("campaign_channel",),
}
"""Features that are made from a field of another name."""


@dataclass(frozen=True)
class Refused:
    """A feature that a source declares as entered after the lead came in."""

    feature: str
    field: str
    known_at: KnownAt
    source: str

    @property
    def why(self) -> str:
        return f'source "{self.source}" says that {self.field} is known at {self.known_at}'


def refused_features(sources: Collection[Source]) -> tuple[Refused, ...]:
    """What the sources declare of leads as known later than at their creation, by feature.

    Where several sources bring leads, one that enters a field late is enough: a value that means
    something else in each of them would teach the score the source.
    """
    found: dict[str, Refused] = {}
    for source in sources:
        for feed in source.feeds:
            mapping = feed.entities.get("leads")
            for field, moment in (mapping.known_at if mapping else {}).items():
                for feature in MADE_FROM.get(field, (field,)):
                    if moment != "creation":
                        found.setdefault(feature, Refused(feature, field, moment, source.source))
    return tuple(found[name] for name in sorted(found))


@dataclass(frozen=True)
class LeadTable:
    """Leads in order of creation, then source and id, as of one instant.

    Times are days since 1970-01-01 UTC. ``converted_at`` is NaN where no conversion is known by
    ``as_of``, or where its date is not. What was delivered late came to be known later than it was.
    """

    as_of: float
    frame: pl.DataFrame
    """``source``, ``lead_id``, the feature columns, and a column a rule: 1 where it is met."""
    created_at: FloatArray
    converted_at: FloatArray
    is_converted: npt.NDArray[np.bool_]
    came_to_be_known: FloatArray
    conversion_known: FloatArray
    features: tuple[Feature, ...]
    ignored_columns: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()

    def __len__(self) -> int:
        return len(self.created_at)

    def known_at(self, as_of: float) -> LeadTable:
        """The same leads as they were known at an earlier instant."""
        later = self.conversion_known > as_of
        table = replace(
            self,
            as_of=as_of,
            converted_at=np.where(later, np.nan, self.converted_at),
            is_converted=self.is_converted & ~later,
        )
        return table.take(self.came_to_be_known <= as_of)

    def take(self, rows: npt.NDArray[np.bool_]) -> LeadTable:
        """The leads of a mask, in the same order."""
        return replace(
            self,
            frame=self.frame.filter(pl.Series(rows)),
            created_at=self.created_at[rows],
            converted_at=self.converted_at[rows],
            is_converted=self.is_converted[rows],
            came_to_be_known=self.came_to_be_known[rows],
            conversion_known=self.conversion_known[rows],
        )

    def converts_within(self, horizon_days: int) -> npt.NDArray[np.bool_]:
        """Whether each lead converted at most ``horizon_days`` after it came in.

        A conversion without a date counts.
        """
        late = self.converted_at - self.created_at > horizon_days
        return self.is_converted & ~late


def choose_features(
    columns: Mapping[str, str],
    extra_features: Sequence[str] = (),
    refused: Collection[Refused] = (),
) -> tuple[tuple[Feature, ...], tuple[str, ...]]:
    """Which columns enter a score, and which are left out.

    Parameters
    ----------
    columns
        DuckDB type of each column there is.
    extra_features
        Columns beyond the allow-list that the caller declares as known at creation.
    refused
        What the sources declare as known later.

    Raises
    ------
    SettingsError
        When a column that is filled after creation is declared as a feature, or is not there.
    """
    for name in extra_features:
        if name in OUTCOME_COLUMNS or name in KEY_COLUMNS[1:]:
            raise SettingsError(
                said(
                    '"{name}" is filled after the lead came in, or names it; it cannot predict',
                    name=name,
                ),
                where=said("lead scoring features"),
                remedy=said("remove it; only facts known at creation may enter"),
            )
        if name not in columns:
            raise SettingsError(
                said('"{name}" is no column of lead_features', name=name),
                where=said("lead scoring features"),
                remedy=said(
                    "use one of {names}", names=", ".join(sorted(set(columns) - OUTCOME_COLUMNS))
                ),
            )
    chosen, ignored = [], []
    late = {one.feature for one in refused}
    for name in sorted(columns):
        if name in late:
            continue
        if name in FEATURES:
            chosen.append(FEATURES[name])
        elif name in extra_features:
            words = name.replace("_", " ").capitalize()
            chosen.append(_feature(name, kind_of(columns[name]), words, words))
        elif name not in OUTCOME_COLUMNS and name not in KEY_COLUMNS:
            ignored.append(name)
    return tuple(chosen), tuple(ignored)


def read_leads(
    con: duckdb.DuckDBPyConnection,
    as_of: float,
    extra_features: Sequence[str] = (),
    table: str = "marts.lead_features",
    *,
    rules: LeadRules | None = None,
    refused: Collection[Refused] = (),
    time_zone: str = "UTC",
) -> LeadTable:
    """Read the leads as known at ``as_of`` (days since 1970-01-01 UTC, included).

    With ``rules``, and which of them each lead meets. Raises SettingsError when a rule tests what
    is not known when a lead comes in.
    """
    relation = con.table(table)
    types = dict(zip(relation.columns, (str(kind) for kind in relation.types), strict=True))
    refused = tuple(one for one in refused if one.feature in types)
    features, ignored = choose_features(types, extra_features, refused)
    selected = ["source", "lead_id"]
    for feature in features:
        if feature.name != "source":
            target = "double" if feature.kind == "number" else "varchar"
            column = '"' + feature.name.replace('"', '""') + '"'
            selected.append(f"try_cast({column} as {target}) as {column}")
    parameters: dict[str, object] = {}
    if rules is not None:
        readable = {feature.name: types[feature.name] for feature in features}
        late = {one.feature: one.why for one in refused}
        day = date.fromordinal(date(1970, 1, 1).toordinal() + int(as_of))
        met, parameters = met_columns(rules, readable, late, day, time_zone)
        selected += met
    moments = {
        "_created": "created_at",
        "_converted": "converted_at",
        "_known": "known_at" if "known_at" in types else "created_at",
        "_conversion_known": "conversion_known_at"
        if "conversion_known_at" in types
        else "converted_at",
    }
    selected += [
        f"epoch_us({column}::timestamp) / 86400e6 as {name}" for name, column in moments.items()
    ]
    rows = con.sql(
        f"""
        select {", ".join(selected)}, coalesce(is_converted, false) as _is_converted
        from {table} as {TESTED}
        where created_at is not null and _created <= $as_of
        order by _created, source, lead_id
        """,
        params={"as_of": as_of, **parameters},
    ).pl()
    times = {name: rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in moments}
    leads = LeadTable(
        as_of,
        rows.drop(*moments, "_is_converted"),
        times["_created"],
        times["_converted"],
        rows["_is_converted"].to_numpy(),
        times["_known"],
        times["_conversion_known"],
        features,
        ignored,
        refused,
    )
    return leads.known_at(as_of)


def encoder_of(leads: LeadTable, only: Collection[str] | None = None) -> FeatureEncoder:
    """Learn the categories from the leads alone, not from their outcomes.

    ``only`` names the features to keep, all of them by default.
    """
    span = float(np.ptp(leads.created_at)) if len(leads) else 0.0
    kinds = {
        feature.name: feature.kind
        for feature in leads.features
        if (only is None or feature.name in only) and not (feature.yearly and span < TWO_YEARS)
    }
    return FeatureEncoder.fit(leads.frame, kinds)
