"""Who should take an open lead: whoever has done best with such leads, as far as they have time.

From the past: whose leads were won (or converted, where no deal is on record), overall, of the
lead's place, industry and channel, each drawn towards the wider figure by the weight of 20 leads;
the mean of those that say something.
From today: how many open leads each person follows. A person with more than the others' usual
load gives each lead less attention, in proportion. The lead worth most is routed first,
and every lead routed adds to the load.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from cohorte.i18n import format_percent

__all__ = ["RoutingReport", "route_leads", "routing_sentence"]

FloatArray = npt.NDArray[np.float64]

STRENGTH = 20.0
LEAST_HANDLED = 10
"""Leads that a person must have followed to be suggested."""

ACTIVE_DAYS = 180
"""Whoever took no lead for so long is not suggested."""

LOAD_DAYS = 365
"""Older leads that nobody closed are no load any more."""

BY = ("postcode_area", "industry", "channel")
SCHEMA: dict[str, Any] = {
    "source": pl.String,
    "lead_id": pl.String,
    "as_of": pl.Date,
    "suggested_owner": pl.String,
    "suggested_team": pl.String,
    "reasons": pl.String,
}

_WORDS = {
    "postcode_area": {"en": "in area {value}", "fr": "dans la zone {value}"},
    "industry": {"en": "in {value}", "fr": "dans le secteur {value}"},
    "channel": {"en": "from {value}", "fr": "du canal {value}"},
    "overall": {"en": "of all leads", "fr": "de tous les leads"},
}
_SENTENCES = {
    "en": "{rate} of such leads expected to be won, {usual} by the others (won {won} of {handled}"
    " {what}); follows {load} open, the others {mean} on average",
    "fr": "{rate} de tels leads attendus gagnés, {usual} par les autres ({won} sur {handled} gagnés"
    " {what}) ; suit {load} ouverts, les autres {mean} en moyenne",
}


@dataclass(frozen=True)
class RoutingReport:
    """How many open leads have somebody to go to, and among how many people."""

    routed: int
    owners: int


def routing_sentence(reasons: str, language: str) -> str:
    """Why somebody is suggested, in words: ``fr`` or ``en``."""
    told = json.loads(reasons)
    tongue = "fr" if language == "fr" else "en"

    def share(name: str) -> str:
        return format_percent(told[name], language, 0)

    what = _WORDS[told["by"]][tongue].format(value=told["value"])
    mean = f"{told['mean_load']:.0f}"
    return _SENTENCES[tongue].format(
        rate=share("rate"),
        usual=share("usual"),
        won=told["won"],
        handled=told["handled"],
        what=what,
        load=told["load"],
        mean=mean,
    )


def route_leads(con: duckdb.DuckDBPyConnection, as_of: date) -> RoutingReport:
    """Write ``scores.lead_routing``, a row per open lead scored on ``as_of`` that has somebody to
    go to.

    Reads ``marts.leads``, ``marts.opportunities``, ``marts.lead_features`` and
    ``scores.lead_scores``.
    """
    past = _handled(con, as_of)
    waiting = _waiting(con, as_of)
    found = pl.DataFrame(schema=SCHEMA)
    owners = _owners(past, as_of)
    if not owners.is_empty() and not waiting.is_empty():
        found = _routed(past, waiting, owners, as_of)
    con.register("_lead_routing", found.to_arrow())
    con.execute("create schema if not exists scores")
    con.execute("create or replace table scores.lead_routing as from _lead_routing")
    con.unregister("_lead_routing")
    return RoutingReport(found.height, found["suggested_owner"].n_unique())


def _handled(con: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    """Leads that somebody followed: who, what the lead was, and what became of it by the day."""
    found: pl.DataFrame = con.sql(
        """
        with deals as (
            select source, lead_id, min(owner) as owner, min(team) as team,
                bool_or(is_won and closed_at::date <= $as_of) as is_won,
                bool_and(is_won is not null and closed_at::date <= $as_of) as is_closed
            from marts.opportunities where lead_id is not null group by all
        )
        select
            coalesce(leads.owner, deals.owner) as owner, deals.team,
            features.postcode_area, features.industry, features.channel,
            leads.created_at::date as created_date,
            coalesce(deals.is_won, false) as is_won,
            leads.is_converted and coalesce(leads.converted_at::date <= $as_of, true)
                as is_converted,
            coalesce(deals.is_closed, leads.status is distinct from 'new'
                and leads.status is distinct from 'working') as is_decided
        from marts.leads as leads
        inner join marts.lead_features as features using (source, lead_id)
        left join deals using (source, lead_id)
        where coalesce(leads.owner, deals.owner) is not null
            and leads.created_at::date <= $as_of
        """,
        params={"as_of": as_of},
    ).pl()
    return found


def _waiting(con: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    """Open leads of the day, the one worth most first."""
    found: pl.DataFrame = con.sql(
        """
        select scores.source, scores.lead_id, features.postcode_area, features.industry,
            features.channel
        from scores.lead_scores as scores
        inner join marts.lead_features as features using (source, lead_id)
        where scores.as_of = $as_of and not features.is_converted
        order by coalesce(expected_value_amount, conversion_probability) desc, source, lead_id
        """,
        params={"as_of": as_of},
    ).pl()
    return found


def _owners(past: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """People who may be suggested, with their team and what they follow today."""
    age = (pl.lit(as_of) - pl.col("created_date")).dt.total_days()
    return (
        past.group_by("owner")
        .agg(
            pl.col("team").drop_nulls().mode().sort().first(),
            handled=pl.len(),
            load=(~pl.col("is_decided") & (age <= LOAD_DAYS)).sum(),
            days_since=age.min(),
        )
        .filter((pl.col("handled") >= LEAST_HANDLED) & (pl.col("days_since") <= ACTIVE_DAYS))
        .sort("owner")
    )


def _routed(
    past: pl.DataFrame, waiting: pl.DataFrame, owners: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    decided = past.filter("is_decided")
    success = "is_won" if decided["is_won"].any() else "is_converted"
    decided = decided.with_columns(good=pl.col(success))
    if decided["good"].mean() == 1:  # who lost is not on record: shares of what was won
        decided = _with_the_others(decided, owners)
    names = owners["owner"].to_list()
    places = {name: at for at, name in enumerate(names)}
    rows = decided.filter(pl.col("owner").is_in(names))
    at = np.array([places[name] for name in rows["owner"]], dtype=np.intp)
    good = rows["good"].to_numpy().astype(float)
    overall = float(decided["good"].mean() or 0.0)  # type: ignore[arg-type]
    won, handled = _counts(at, good, len(names))
    rate = (won + STRENGTH * overall) / (handled + STRENGTH)
    by_class = {
        column: _by_class(rows[column], at, good, len(names))
        for column in BY
        if rows[column].n_unique() > 1
    }
    load = owners["load"].to_numpy().astype(float)
    said, whom = [], []
    for lead in waiting.iter_rows(named=True):
        rates, told = [], ("overall", None, won, handled)
        strength = 0.0
        for column, classes in by_class.items():
            known = classes.get(lead[column])
            if known is None:
                continue
            won_here, handled_here = known
            here = (won_here + STRENGTH * rate) / (handled_here + STRENGTH)
            rates.append(here)
            if handled_here.max() > strength:
                strength, told = handled_here.max(), (column, lead[column], won_here, handled_here)
        expected = np.mean(rates, axis=0) if rates else rate
        usual = (load.sum() - load) / max(len(load) - 1, 1) if len(load) > 1 else load
        attention = np.minimum(1.0, np.maximum(usual, 1.0) / np.maximum(load, 1.0))
        best = int(np.argmax(expected * attention))
        column, value, won_here, handled_here = told
        others = np.arange(len(names)) != best
        said.append(
            json.dumps(
                {
                    "by": column,
                    "value": value,
                    "rate": round(float(expected[best]), 4),
                    "usual": round(float(expected[others].mean()) if others.any() else overall, 4),
                    "won": int(won_here[best]),
                    "handled": int(handled_here[best]),
                    "load": int(load[best]),
                    "mean_load": round(float(usual[best]), 1),
                },
                ensure_ascii=False,
            )
        )
        whom.append(best)
        load[best] += 1
    taken = owners[whom]
    return waiting.select("source", "lead_id").with_columns(
        as_of=pl.lit(as_of),
        suggested_owner=taken["owner"],
        suggested_team=taken["team"],
        reasons=pl.Series(said, dtype=pl.String),
    )


def _with_the_others(decided: pl.DataFrame, owners: pl.DataFrame) -> pl.DataFrame:
    """Each deal once as won by its owner and once as not won by every other."""
    names = owners.select(other="owner")
    crossed = decided.join(names, how="cross")
    return crossed.with_columns(good=pl.col("owner") == pl.col("other"), owner=pl.col("other"))


def _counts(
    at: npt.NDArray[np.intp], good: FloatArray, count: int
) -> tuple[FloatArray, FloatArray]:
    ones = np.ones(len(at))
    return (
        np.bincount(at, good, count).astype(np.float64),
        np.bincount(at, ones, count).astype(np.float64),
    )


def _by_class(
    column: pl.Series, at: npt.NDArray[np.intp], good: FloatArray, count: int
) -> dict[str, tuple[FloatArray, FloatArray]]:
    values = column.to_numpy()
    found = {}
    for value in column.drop_nulls().unique().to_list():
        here = values == value
        found[value] = _counts(at[here], good[here], count)
    return found
