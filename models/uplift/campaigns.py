"""What campaigns changed, by who was held out of them: effects, and whom to contact next time.

Somebody held out of a campaign by chance (a touchpoint of kind ``held_out``) shows what would have
come without it. Compared is who ordered within some days of the campaign's first message, by the
group that chance gave: who was held out and reached all the same counts as held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import sqrt
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.measures import rounded
from models.uplift.evaluation import Effect, compare_rankings, qini_curve
from models.uplift.learners import ResponseLearner, UpliftLearner, XLearner

__all__ = [
    "CampaignEffect",
    "Targeting",
    "campaign_effects",
    "learn_targeting",
    "of_counts",
    "together",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LEAST_HELD_OUT = 20
LEAST_OUTCOMES = 60
"""Orders among the held out, and among the others, from which people can be ranked at all."""

TREATED_TO_HELD_OUT = 4
FOLDS = 3
RESAMPLES = 60
CURVE_POINTS = 20
FEATURES = (
    "days_since_last_order", "days_since_first_order", "orders_count", "orders_count_365d",
    "net_revenue", "opened_90d", "visits_90d",
)  # fmt: skip

_GROUPS = """
    sent as (
        select campaign_id, customer_id, min(occurred_at) as sent_at from touchpoints
        where kind = 'email_sent' and customer_id is not null
            and campaign_id in (select campaign_id from touchpoints where kind = 'held_out')
        group by all
    ),
    begun as (
        select campaign_id, min(sent_at)::date as day from sent group by campaign_id
        having min(sent_at)::date + $days <= $as_of + 1
    ),
    held_out as (
        select distinct campaign_id, customer_id from touchpoints
        where kind = 'held_out' and customer_id is not null
    ),
    people as (
        select campaign_id, customer_id, false as treated from held_out
        union all
        select campaign_id, customer_id, true from sent
        anti join held_out using (campaign_id, customer_id)
        where campaign_id in (select campaign_id from held_out)
    )
"""
_ORDERED = """
    select people.campaign_id, people.customer_id,
        bool_or(orders.order_date >= begun.day) as came,
        bool_or(orders.order_date < begun.day) as came_before
    from people inner join begun using (campaign_id)
    inner join orders on orders.customer_id = people.customer_id and orders.is_order
        and orders.order_date >= begun.day - $days and orders.order_date < begun.day + $days
    group by all
"""


@dataclass(frozen=True)
class CampaignEffect:
    """One campaign: both groups, the effect, and the same comparison before it began."""

    campaign_id: str
    name: str
    day: date
    treated: int
    held_out: int
    treated_ordered: int
    held_out_ordered: int
    effect: Effect
    before: Effect
    """Between the same groups, over as many days before: nothing, but for chance."""


def campaign_effects(
    con: duckdb.DuckDBPyConnection, as_of: date, days: int
) -> list[CampaignEffect]:
    """The campaigns with a control group whose days are over, the newest first."""
    rows = con.execute(
        f"""
        with {_GROUPS}, ordered as ({_ORDERED})
        select people.campaign_id, any_value(coalesce(campaigns.campaign_name, people.campaign_id)),
            any_value(begun.day), count(*) filter (treated), count(*) filter (not treated),
            count(*) filter (treated and came), count(*) filter (not treated and came),
            count(*) filter (treated and came_before),
            count(*) filter (not treated and came_before)
        from people inner join begun using (campaign_id)
        left join ordered using (campaign_id, customer_id)
        left join (
            select campaign_id, any_value(campaign_name) as campaign_name from campaigns
            group by campaign_id
        ) as campaigns on campaigns.campaign_id = people.campaign_id
        group by people.campaign_id
        having count(*) filter (treated) >= $least and count(*) filter (not treated) >= $least
        order by 3 desc, 1
        """,
        {"as_of": as_of, "days": days, "least": LEAST_HELD_OUT},
    ).fetchall()
    return [
        CampaignEffect(
            campaign_id,
            name,
            day,
            treated,
            held_out,
            came,
            held_came,
            of_counts(came, treated, held_came, held_out),
            of_counts(before, treated, held_before, held_out),
        )
        for (
            campaign_id, name, day, treated, held_out, came, held_came, before, held_before,
        ) in rows
    ]  # fmt: skip


def of_counts(treated_came: int, treated: int, held_came: int, held: int) -> Effect:
    """The difference of two rates, with an error that holds in small groups too.

    Agresti and Caffo (2000): one outcome and one without are added to each group for the error, as
    a group in which nobody ordered would else seem to be known without any.
    """
    difference = treated_came / treated - held_came / held
    error = 0.0
    for came, size in ((treated_came, treated), (held_came, held)):
        rate = (came + 1) / (size + 2)
        error += rate * (1 - rate) / (size + 2)
    return Effect.of(difference, sqrt(error))


def together(effects: Sequence[Effect], weights: Sequence[float]) -> Effect | None:
    """Effects of several campaigns as one: each compared within itself, then averaged."""
    total = float(sum(weights))
    if not total:
        return None
    shares = np.asarray(weights) / total
    mean = float(shares @ [each.effect for each in effects])
    error = float(np.sqrt((shares**2) @ [each.standard_error**2 for each in effects]))
    return Effect.of(mean, error)


@dataclass(frozen=True)
class Targeting:
    """Whether people can be ranked by what a message changes for them, and whom to write to."""

    outcome: str
    """``ranked``, ``no_better_than_chance``, ``no_better_than_response`` or ``too_few``."""
    people: int = 0
    ordered: tuple[int, int] = (0, 0)
    """Among those written to, and among the held out."""
    shares: tuple[float, ...] = ()
    """Of the people, by rank: where the curves are told."""
    curves: dict[str, tuple[float, ...]] | None = None
    """Orders gained a thousand people written to, by ``uplift`` and ``response``."""
    figures: dict[str, Any] | None = None
    ranked: pl.DataFrame | None = None
    """Today's customers, the most to gain first: customer_id, gain."""


def learn_targeting(
    con: duckdb.DuckDBPyConnection, as_of: date, days: int, campaign_id: str | None = None
) -> Targeting:
    """Rank people by the gain of a message, tested on those a learner has not seen.

    Of one campaign, or of all with a control group. Features are what was known the day before a
    campaign began.
    """
    frame = _examples(con, as_of, days, campaign_id)
    treated = frame["treated"].to_numpy()
    y = frame["came"].to_numpy().astype(np.float64)
    ordered = (int(y[treated].sum()), int(y[~treated].sum()))
    if min(ordered) < LEAST_OUTCOMES:
        return Targeting("too_few", frame.height, ordered)
    names = [name for name in FEATURES if frame[name].is_not_null().any()]
    X = frame.select(names).to_numpy().astype(np.float64)  # noqa: N806
    with threadpool_limits(limits=1):
        said = {
            "uplift": _unseen(XLearner(), X, y, treated),
            "response": _unseen(ResponseLearner(), X, y, treated),
        }
        told = compare_rankings(said, y, treated, resamples=RESAMPLES)
        learner = XLearner().fit(X, y, treated=treated)
    by_chance = told["rankings"]["uplift"]["qini_interval"][0] > 0
    over_response = told["gains"]["uplift over response"][0] > 0
    outcome = (
        "no_better_than_chance"
        if not by_chance
        else "ranked"
        if over_response
        else "no_better_than_response"
    )
    steps = np.linspace(0, len(y), CURVE_POINTS + 1).round().astype(int)
    per_thousand = 1000 / max(int(treated.sum()), 1)
    curves = {
        name: per_thousand * qini_curve(score, y, treated)[steps] for name, score in said.items()
    }
    today = _today(con, as_of)
    gain = learner.predict(today.select(names).to_numpy().astype(np.float64))
    ranked = today.select("customer_id").with_columns(gain=pl.Series(gain).round(6))
    return Targeting(
        outcome,
        frame.height,
        ordered,
        tuple((steps / len(y)).tolist()),
        {name: tuple(rounded(each) for each in curve) for name, curve in curves.items()},
        told,
        ranked.sort("gain", "customer_id", descending=[True, False]),
    )  # fmt: skip


def _unseen(learner: UpliftLearner, X: FloatArray, y: FloatArray, treated: BoolArray) -> FloatArray:  # noqa: N803
    """Each person's gain by a learner that did not see them."""
    said = np.zeros(len(y))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for known, held in folds.split(X, 2 * treated + y):
        said[held] = learner.fit(X[known], y[known], treated=treated[known]).predict(X[held])
    return said


def _features(people: str) -> str:
    """What was known of ``people`` (campaign_id, customer_id, day) before the day."""
    return f"""
        select people.campaign_id, people.customer_id,
            any_value(people.day) - max(orders.order_date) as days_since_last_order,
            any_value(people.day) - min(orders.order_date) as days_since_first_order,
            count(orders.order_id) as orders_count,
            count(*) filter (orders.order_date >= people.day - 365) as orders_count_365d,
            coalesce(sum(orders.reporting_net_amount), 0)::double as net_revenue,
            coalesce(any_value(done.opened), 0) as opened_90d,
            coalesce(any_value(done.visits), 0) as visits_90d
        from {people} as people
        left join orders on orders.customer_id = people.customer_id and orders.is_order
            and orders.order_date < people.day
        left join (
            select people.campaign_id, people.customer_id,
                count(*) filter (interactions.kind = 'email_opened') as opened,
                count(*) filter (interactions.kind = 'web_visit') as visits
            from {people} as people
            inner join interactions on interactions.customer_id = people.customer_id
                and interactions.interaction_date >= people.day - 90
                and interactions.interaction_date < people.day
                and interactions.kind in ('email_opened', 'web_visit')
            group by all
        ) as done
            on done.campaign_id = people.campaign_id and done.customer_id = people.customer_id
        group by people.campaign_id, people.customer_id
    """


def _examples(
    con: duckdb.DuckDBPyConnection, as_of: date, days: int, campaign_id: str | None
) -> pl.DataFrame:
    """The held out, and a few times as many of the others; which, hangs on their ids."""
    found: pl.DataFrame = con.sql(
        f"""
        with {_GROUPS},
        chosen as (
            select people.*, begun.day from people inner join begun using (campaign_id)
            where $campaign_id is null or campaign_id = $campaign_id
            qualify not treated or row_number() over (
                partition by campaign_id, treated order by hash(customer_id, campaign_id)
            ) <= {TREATED_TO_HELD_OUT}
                * count(*) filter (not treated) over (partition by campaign_id)
        ),
        known as ({_features("chosen")}),
        ordered as ({_ORDERED})
        select chosen.campaign_id, chosen.customer_id, treated, coalesce(came, false) as came,
            {", ".join(f"known.{name}::double as {name}" for name in FEATURES)}
        from chosen inner join known using (campaign_id, customer_id)
        left join ordered using (campaign_id, customer_id)
        order by chosen.campaign_id, chosen.customer_id
        """,
        params={"as_of": as_of, "days": days, "campaign_id": campaign_id},
    ).pl()
    return found


def _today(con: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    """Who may be written to today, with the same features."""
    found: pl.DataFrame = con.sql(
        f"""
        with today as (
            select '' as campaign_id, customer_id, $as_of::date + 1 as day
            from customer_profiles where is_contactable_email
        ),
        known as ({_features("today")})
        select customer_id, {", ".join(f"{name}::double as {name}" for name in FEATURES)}
        from known order by customer_id
        """,
        params={"as_of": as_of},
    ).pl()
    return found
