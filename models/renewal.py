"""Contracts that end in the horizon: the probability that each is not renewed, and why.

A contract is a row of terms. A renewal closes a term on the day it is dated, and starts the next
until the contract's end; a contract of the same customer that starts within ``GRACE_DAYS`` of the
end counts as a renewal too. A term that ended without either was not renewed; one past its end
that the source still calls active is not known, and neither learned from nor tested on.

Each past term is seen half a horizon before its end, by what was known then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cohorte.i18n import format_percent
from models.challenge import Reason, beats_rule, beside_the_rule, contest
from models.encoding import FeatureEncoder, Kind
from models.measures import figure, measure, rounded
from models.reasons import reasons_json
from models.registry import Artifact, ArtifactError, Registry
from models.scorecard import AdditiveClassifier, AdditiveScorer, BaseRateScorer

__all__ = ["ESTIMATOR_NAME", "RenewalReport", "score_contracts", "verdict_sentence"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Outcome = Literal[
    "learned", "no_better_than_rate", "too_few_to_learn", "too_few_ended", "one_class",
    "no_contracts",
]  # fmt: skip

ESTIMATOR_NAME = "contract_renewal"
TRUSTED_TYPES = ("models.scorecard.AdditiveScorer", "models.scorecard.BaseRateScorer")
RECIPE = 1
HORIZON_DAYS = 90
GRACE_DAYS = 60
ENDED_FOR_A_RATE = 10
"""Terms renewed and not renewed, each, from which their rate says something."""

ENDED_TO_LEARN = 50
NEWEST_SHARE = 1 / 3
GROWTH_BEFORE_RETRAINING = 1.2

KINDS: dict[str, Kind] = {
    "term_amount": "number",
    "term_days": "number",
    "days_as_customer": "number",
    "renewals_count_before": "number",
    "orders_count_365d": "number",
    "interactions_count_90d": "number",
    "days_since_last_interaction": "number",
    "tickets_count_365d": "number",
    "open_tickets_count": "number",
}
LABELS: dict[str, dict[str, str]] = {
    "term_amount": {"en": "Amount", "fr": "Montant"},
    "term_days": {"en": "Days of the term", "fr": "Durée de la période (jours)"},
    "days_as_customer": {"en": "Days since the first contract", "fr": "Ancienneté (jours)"},
    "renewals_count_before": {"en": "Renewals before", "fr": "Renouvellements avant"},
    "orders_count_365d": {"en": "Orders in a year", "fr": "Commandes sur un an"},
    "interactions_count_90d": {"en": "Exchanges in 90 days", "fr": "Échanges sur 90 jours"},
    "days_since_last_interaction": {
        "en": "Days since the last exchange",
        "fr": "Jours depuis le dernier échange",
    },
    "tickets_count_365d": {"en": "Tickets in a year", "fr": "Tickets sur un an"},
    "open_tickets_count": {"en": "Open tickets", "fr": "Tickets ouverts"},
}

SCHEMA = """source varchar, contract_id varchar, customer_id varchar, as_of date,
    horizon_days bigint, end_date date, non_renewal_probability double,
    expected_loss_amount double, reasons varchar, estimator_version varchar"""

TERMS = """
create or replace temp table contract_terms as
with of_contracts as (
    select contracts.*,
        case when renewed_at is not null and renewed_at::date > started_date
            then renewed_at::date end as renewed_date,
        cancelled_at::date as cancelled_date,
        exists (
            from marts.contracts as later
            where later.customer_id = contracts.customer_id
                and (later.source, later.contract_id) <> (contracts.source, contracts.contract_id)
                and later.started_date
                    between contracts.end_date - 7 and contracts.end_date + $grace
        ) as is_followed
    from marts.contracts as contracts
    where started_date <= $as_of
),

terms as (
    select source, contract_id, customer_id, amount, started_date, renewed_date as term_end,
        true as is_renewed, renewed_date as known_date, null::date as cancelled_date
    from of_contracts where renewed_date is not null
    union all
    select source, contract_id, customer_id, amount, coalesce(renewed_date, started_date),
        end_date, is_followed,
        case
            when cancelled_date is not null then cancelled_date
            when is_followed or status is distinct from 'active' then end_date + $grace
        end,
        cancelled_date
    from of_contracts
    where end_date is not null and coalesce(renewed_date, started_date) < end_date
)

select *, coalesce(customer_id, source || ':' || contract_id) as party,
    min(started_date) over (partition by party) as first_date,
    case when known_date <= $as_of and term_end + $grace <= $as_of then is_renewed end as outcome
from terms
"""

FEATURES = """
select seen.source, seen.contract_id, seen.customer_id, seen.term_end, seen.seen_date,
    seen.outcome, seen.amount::double as term_amount,
    (seen.term_end - seen.started_date)::double as term_days,
    (seen.seen_date - seen.first_date)::double as days_as_customer,
    coalesce(before.renewals_count_before, 0)::double as renewals_count_before,
    coalesce(bought.orders_count_365d, 0)::double as orders_count_365d,
    coalesce(spoke.interactions_count_90d, 0)::double as interactions_count_90d,
    spoke.days_since_last_interaction::double as days_since_last_interaction,
    coalesce(asked.tickets_count_365d, 0)::double as tickets_count_365d,
    coalesce(asked.open_tickets_count, 0)::double as open_tickets_count
from seen
left join (
    select seen.source, seen.contract_id, seen.term_end, count(*) as renewals_count_before
    from seen inner join contract_terms as own on own.party = seen.party
    where own.outcome and own.known_date <= seen.seen_date
    group by all
) as before using (source, contract_id, term_end)
left join (
    select seen.source, seen.contract_id, seen.term_end, count(*) as orders_count_365d
    from seen inner join marts.orders as orders on orders.customer_id = seen.customer_id
    where orders.is_order and orders.order_date <= seen.seen_date
        and orders.order_date > seen.seen_date - 365
    group by all
) as bought using (source, contract_id, term_end)
left join (
    select seen.source, seen.contract_id, seen.term_end,
        count(*) filter (interaction_date > seen.seen_date - 90) as interactions_count_90d,
        min(seen.seen_date - interaction_date) as days_since_last_interaction
    from seen inner join marts.interactions as spoken on spoken.customer_id = seen.customer_id
    where spoken.interaction_date <= seen.seen_date
    group by all
) as spoke using (source, contract_id, term_end)
left join (
    select seen.source, seen.contract_id, seen.term_end,
        count(*) filter (opened_at::date > seen.seen_date - 365) as tickets_count_365d,
        count(*) filter (coalesce(resolved_at::date > seen.seen_date, true)) as open_tickets_count
    from seen inner join marts.tickets as tickets on tickets.customer_id = seen.customer_id
    where tickets.opened_at::date <= seen.seen_date
    group by all
) as asked using (source, contract_id, term_end)
order by seen.term_end, seen.source, seen.contract_id
"""

PAST = """
with seen as (
    select *, greatest(term_end - $early, started_date) as seen_date
    from contract_terms
    where outcome is not null and coalesce(cancelled_date > term_end - $early, true)
)
"""
OPEN = """
with seen as (
    select *, $as_of as seen_date
    from contract_terms
    where term_end > $as_of and term_end <= $as_of + $horizon and outcome is null
        and coalesce(cancelled_date > $as_of, true)
)
"""

_VERDICTS: dict[str, dict[str, str]] = {
    "retired": {
        "en": "no renewal score: it was retired; promote a version to serve it again",
        "fr": "pas de score de renouvellement : il a été retiré ; promouvoir une version pour le"
        " servir à nouveau",
    },
    "learned": {
        "en": "learned renewal score: Brier score {brier} against {rate_brier} for the share of all"
        " not renewed, AUC {auc}, on the {tested} newest terms that ended",
        "fr": "score de renouvellement appris : score de Brier {brier} contre {rate_brier} pour la"
        " part non renouvelée, AUC {auc}, sur les {tested} périodes terminées les plus récentes",
    },
    "no_better_than_rate": {
        "en": "contracts by the share not renewed ({share}): a learned score did no better, beyond"
        " noise, on the {tested} newest terms that ended (Brier score {brier} against"
        " {rate_brier})",
        "fr": "contrats selon la part non renouvelée ({share}) : un score appris n’a pas fait"
        " mieux, bruit compris, sur les {tested} périodes terminées les plus récentes (score de"
        " Brier {brier} contre {rate_brier})",
    },
    "too_few_to_learn": {
        "en": "contracts by the share not renewed ({share}): {lost} of {terms} terms are too few to"
        " learn from",
        "fr": "contrats selon la part non renouvelée ({share}) : {lost} périodes sur {terms}, trop"
        " peu pour apprendre",
    },
    "too_few_ended": {
        "en": "no renewal score: {terms} terms ended, {lost} of them not renewed, are too few even"
        " for a rate",
        "fr": "pas de score de renouvellement : {terms} périodes terminées dont {lost} non"
        " renouvelées, trop peu même pour une part",
    },
    "one_class": {
        "en": "no renewal score: nearly all of the {terms} terms ended alike",
        "fr": "pas de score de renouvellement : presque toutes les {terms} périodes ont fini de"
        " même",
    },
    "no_contracts": {
        "en": "no renewal score: there are no contracts",
        "fr": "pas de score de renouvellement : il n’y a pas de contrat",
    },
}


@dataclass(frozen=True)
class RenewalReport:
    """What one pass of the renewal score did."""

    contracts: int
    """Contracts that end in the horizon."""
    scored: int
    outcome: str
    verdict: str
    estimator_version: str | None = None
    trained: bool = False
    evaluation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Served:
    version: str
    facts: dict[str, Any]
    encoder: FeatureEncoder
    scorer: AdditiveClassifier

    def probability(self, frame: pl.DataFrame) -> FloatArray:
        return np.asarray(self.scorer.predict_proba(_matrix(self.encoder, frame))[:, 1])


def score_contracts(
    con: duckdb.DuckDBPyConnection,
    *,
    as_of: date,
    artifacts_dir: Path,
    now: datetime,
    horizon: int = HORIZON_DAYS,
    retrain: bool = False,
) -> RenewalReport:
    """Write ``scores.contract_scores``: a row per contract that ends within ``horizon`` days.

    Reads ``marts.contracts``, ``orders``, ``interactions`` and ``tickets``, nothing after
    ``as_of``. The table is empty, and the verdict says why, where too few terms ended to tell.
    Learns when nothing serves, when the ended terms grew by a fifth, or when asked; what was
    learned serves if it beats what does.
    """
    con.execute("create schema if not exists scores")
    con.execute(f"create or replace table scores.contract_scores ({SCHEMA})")
    if not con.execute("select 1 from marts.contracts limit 1").fetchall():
        nothing = {"outcome": "no_contracts", "terms": 0, "lost": 0}
        return RenewalReport(0, 0, "no_contracts", verdict_sentence("no_contracts", nothing, "en"))
    con.execute(TERMS, {"as_of": as_of, "grace": GRACE_DAYS})
    try:
        past = con.sql(PAST + FEATURES, params={"early": horizon // 2}).pl()
        ending = con.sql(OPEN + FEATURES, params={"as_of": as_of, "horizon": horizon}).pl()
    finally:
        con.execute("drop table contract_terms")
    registry = Registry(artifacts_dir)
    with threadpool_limits(limits=1):
        served, facts, trained = _estimator(past, as_of, horizon, registry, now, retrain)
    if served is not None and ending.height:
        _write(con, ending, served, as_of, horizon)
    verdict = verdict_sentence(facts["outcome"], facts, "en")
    return RenewalReport(
        ending.height,
        ending.height if served else 0,
        facts["outcome"],
        verdict,
        served.version if served else None,
        trained,
        facts.get("evaluation", {}),
    )


def _estimator(
    past: pl.DataFrame,
    as_of: date,
    horizon: int,
    registry: Registry,
    now: datetime,
    retrain: bool,
) -> tuple[_Served | None, dict[str, Any], bool]:
    lost = ~past["outcome"].to_numpy().astype(bool)
    counted = {"terms": len(lost), "lost": int(lost.sum()), "horizon_days": horizon}
    least = int(min(lost.sum(), (~lost).sum()))
    if least < ENDED_FOR_A_RATE:
        few = len(lost) < 2 * ENDED_FOR_A_RATE
        outcome = "too_few_ended" if few else "one_class"
        return None, {**counted, "outcome": outcome}, False
    if registry.is_retired(ESTIMATOR_NAME) and not retrain:
        return None, {**counted, "outcome": "retired"}, False
    served = registry.usable(ESTIMATOR_NAME, _opened)
    is_later = served is None or as_of.isoformat() >= served.facts["as_of"]
    if served and is_later and not retrain and served.facts["horizon_days"] == horizon:
        tried = registry.newest_try(ESTIMATOR_NAME) or served.facts
        if len(lost) <= GROWTH_BEFORE_RETRAINING * tried["terms"]:
            return served, served.facts, False
    chosen, method, evaluation, tested, challenge = _tested(past, lost, least)
    encoder, scorer = _fit(past, lost, method)
    artifact = registry.keep(
        ESTIMATOR_NAME,
        method,
        scorer,
        content={
            "recipe": RECIPE,
            "outcome": chosen,
            "method": method,
            "as_of": as_of.isoformat(),
            **counted,
            "features": encoder.as_json(),
            "trusted_types": list(TRUSTED_TYPES),
        },
        evaluation=evaluation,
        card=model_card,
        now=now,
        tables=[scorer.intercept_, [values.tolist() for values in scorer.values_]],
    )
    challenger = _opened(artifact)
    if not is_later:
        return challenger, challenger.facts, True
    decided = _decide(served, challenger, past, lost, tested, challenge)
    promoted, _ = registry.settle(ESTIMATOR_NAME, artifact.version, decided, now=now)
    if promoted:
        return challenger, challenger.facts, True
    return served, served.facts if served else {**counted, "outcome": "retired"}, True


def _tested(
    past: pl.DataFrame, lost: BoolArray, least: int
) -> tuple[Outcome, str, dict[str, Any], BoolArray, FloatArray]:
    """What serves, by what the older terms told of the newest third; what that said of them."""
    newest = np.zeros(len(lost), dtype=bool)
    newest[-int(len(lost) * NEWEST_SHARE) :] = True
    seen = past["seen_date"].to_numpy()
    older = ~newest & (past["term_end"].to_numpy() <= seen[newest].min())
    evaluation: dict[str, Any] = {"share": rounded(lost.mean())}
    enough = min(lost[older].sum(), (~lost[older]).sum(), least) >= ENDED_TO_LEARN
    if min(lost[older].sum(), (~lost[older]).sum()) < 1 or not lost[newest].any():
        return "too_few_to_learn", "rate", evaluation, newest, np.full(newest.sum(), lost.mean())
    frame = past.filter(pl.Series(newest))
    said = {}
    for method in ("learned", "rate") if enough else ("rate",):
        encoder, scorer = _fit(past.filter(pl.Series(older)), lost[older], method)
        said[method] = scorer.predict_proba(_matrix(encoder, frame))[:, 1]
        evaluation[method] = measure(lost[newest], said[method], rows="terms", positives="lost")
    if not enough:
        return "too_few_to_learn", "rate", evaluation, newest, said["rate"]
    wins, evaluation["difference"] = beats_rule(lost[newest], said["learned"], said["rate"])
    if not wins:
        return "no_better_than_rate", "rate", evaluation, newest, said["rate"]
    return "learned", "learned", evaluation, newest, said["learned"]


def _fit(
    frame: pl.DataFrame, lost: BoolArray, method: str
) -> tuple[FeatureEncoder, AdditiveClassifier]:
    encoder = FeatureEncoder.fit(frame, KINDS if method == "learned" else {})
    scorer: AdditiveClassifier = BaseRateScorer(column=None)
    if method == "learned":
        scorer = AdditiveScorer(random_state=0)
    return encoder, scorer.fit(_matrix(encoder, frame), lost)


def _decide(
    champion: _Served | None,
    challenger: _Served,
    past: pl.DataFrame,
    lost: BoolArray,
    tested: BoolArray,
    challenge: FloatArray,
) -> tuple[bool, Reason]:
    if champion is None:
        return True, Reason("nothing_served")
    if champion.version == challenger.version:
        return True, Reason("same_version")
    if champion.facts["horizon_days"] != challenger.facts["horizon_days"]:
        return True, Reason("question_changed")
    learned = date.fromisoformat(champion.facts["as_of"])
    newer = (past["term_end"] > learned).to_numpy() & tested
    needed = ENDED_FOR_A_RATE
    positives = int(min(lost[newer].sum(), (~lost[newer]).sum()))
    if positives < needed:
        values = {"positives": positives, "rows": int(newer.sum()), "needed": needed}
        return False, Reason("too_few_ended_since", values)
    said = champion.probability(past.filter(pl.Series(newer)))
    return contest(
        lost[newer],
        challenge[newer[tested]],
        said,
        version=champion.version,
        day=learned.isoformat(),
    )


def _opened(artifact: Artifact) -> _Served:
    facts = artifact.facts
    if facts.get("recipe") != RECIPE:
        raise ArtifactError("it was learned in the manner of another release")
    encoder = FeatureEncoder.from_json(facts["features"])
    return _Served(artifact.version, facts, encoder, artifact.estimator(TRUSTED_TYPES))


def _matrix(encoder: FeatureEncoder, frame: pl.DataFrame) -> FloatArray:
    matrix = encoder.encode(frame)
    return matrix if matrix.shape[1] else np.zeros((frame.height, 1))


def _write(
    con: duckdb.DuckDBPyConnection,
    ending: pl.DataFrame,
    served: _Served,
    as_of: date,
    horizon: int,
) -> None:
    probability = served.probability(ending)
    contributions = served.scorer.explain(_matrix(served.encoder, ending))
    names = served.encoder.names
    scored = ending.select(
        "source",
        "contract_id",
        "customer_id",
        as_of=pl.lit(as_of),
        horizon_days=pl.lit(horizon),
        end_date="term_end",
        non_renewal_probability=pl.Series(np.round(probability, 9)),
        expected_loss_amount=(pl.Series(probability) * pl.col("term_amount")).round(4),
        reasons=reasons_json(contributions[:, : len(names)], names, ending),
        estimator_version=pl.lit(served.version),
    )
    con.register("_contract_scores", scored.to_arrow())
    con.execute("insert into scores.contract_scores by name from _contract_scores")
    con.unregister("_contract_scores")


def verdict_sentence(outcome: str, facts: Mapping[str, Any], language: str) -> str:
    """Why the learned score serves, the share does, or nothing."""
    tongue = "fr" if language == "fr" else "en"
    evaluation = facts.get("evaluation") or {}
    learned, rate = evaluation.get("learned") or {}, evaluation.get("rate") or {}
    share = facts["lost"] / max(facts["terms"], 1)
    return _VERDICTS[outcome][tongue].format(
        terms=facts["terms"],
        lost=facts["lost"],
        share=format_percent(share, language, 0),
        tested=rate.get("terms"),
        brier=figure(learned.get("brier"), tongue),
        rate_brier=figure(rate.get("brier"), tongue),
        auc=figure(learned.get("auc"), tongue),
    )


def reason_sentence(reason: Mapping[str, Any], language: str) -> str:
    """One reason in words: ``Open tickets is 2: odds × 1.40``."""
    tongue = "fr" if language == "fr" else "en"
    name = LABELS.get(str(reason["feature"]), {}).get(tongue, str(reason["feature"]))
    odds = figure(float(np.exp(reason["contribution"])), tongue, 2)
    value = reason.get("value")
    if value is None:
        told = "inconnu" if tongue == "fr" else "not known"
    else:
        told = figure(value, tongue, 0 if float(value).is_integer() else 2)
    if tongue == "fr":
        return f"{name} : {told} (cote ×\N{NO-BREAK SPACE}{odds})"
    return f"{name}: {told} (odds ×\N{NO-BREAK SPACE}{odds})"


def model_card(facts: Mapping[str, Any], language: str) -> str:
    """What the score is, what it learned from, how well it did: Markdown, ``fr`` or ``en``."""
    tongue = "fr" if language == "fr" else "en"
    verdict = verdict_sentence(facts["outcome"], facts, tongue)
    names = ", ".join(LABELS[item["name"]][tongue] for item in facts["features"])
    days = facts["horizon_days"]
    if tongue == "fr":
        return "\n".join(
            [
                f"# Renouvellement des contrats, version `{facts['version']}`",
                "",
                f"Probabilité qu’un contrat finissant dans les {days} jours ne soit pas renouvelé.",
                "",
                f"- **Verdict** : {verdict}.",
                *beside_the_rule(facts.get("evaluation") or {}, "fr"),
                (
                    f"- **Appris sur** : {facts['terms']} périodes terminées jusqu’au"
                    f" {facts['as_of']}, dont {facts['lost']} non renouvelées."
                ),
                f"- **Connu à mi-délai de la fin** : {names or 'rien de plus que la part'}.",
                "",
                "Limites : un contrat échu que la source dit encore actif n’est pas compté.",
                "",
            ]
        )
    return "\n".join(
        [
            f"# Contract renewal, version `{facts['version']}`",
            "",
            f"Probability that a contract that ends within {days} days is not renewed.",
            "",
            f"- **Verdict**: {verdict}.",
            *beside_the_rule(facts.get("evaluation") or {}, "en"),
            (
                f"- **Learned from**: {facts['terms']} terms that ended until {facts['as_of']},"
                f" of which {facts['lost']} were not renewed."
            ),
            f"- **Known half a horizon before the end**: {names or 'no more than the share'}.",
            "",
            "Limits: a contract past its end that the source still calls active does not count.",
            "",
        ]
    )
