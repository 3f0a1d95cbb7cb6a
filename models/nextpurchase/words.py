"""What is said of the next order, in French and English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cohorte.i18n import format_percent, language_of
from models.measures import figure

__all__ = ["model_card", "verdict_sentence"]

LEAST_TO_TELL = 30
"""Customers whose whole interval is over, from which its share is told."""

_VERDICTS = {
    "rhythm": {
        "en": "day of the next order by customers of a like rhythm: tested on {customers} customers"
        " {days} days ahead, where half were to have ordered {half} had, and the interval of 80%"
        " held {coverage}; Brier score {brier} against {rival} by recency alone",
        "fr": "jour de la prochaine commande d’après les clients de même rythme : testé sur"
        " {customers} clients à {days} jours, là où la moitié devait avoir commandé {half}"
        " l’avaient fait, et l’intervalle à 80 % contenait {coverage} ; score de Brier {brier}"
        " contre {rival} par la seule récence",
    },
    "recency": {
        "en": "day of the next order by customers of a like recency: their own rhythm told no more"
        " (Brier score {rival} against {brier}); tested on {customers} customers {days} days ahead,"
        " where half were to have ordered {half} had, and the interval of 80% held {coverage}",
        "fr": "jour de la prochaine commande d’après les clients de même récence : leur rythme"
        " propre n’en disait pas plus (score de Brier {rival} contre {brier}) ; testé sur"
        " {customers} clients à {days} jours, là où la moitié devait avoir commandé {half}"
        " l’avaient fait, et l’intervalle à 80 % contenait {coverage}",
    },
    "does_not_hold": {
        "en": "no day of the next order: tested {days} days ahead, the interval did not hold (where"
        " half were to have ordered {half} had)",
        "fr": "pas de jour de la prochaine commande : testé à {days} jours, l’intervalle ne tenait"
        " pas (là où la moitié devait avoir commandé, {half} l’avaient fait)",
    },
    "too_short_to_test": {
        "en": "no day of the next order: {ordered} of {customers} customers ordered again in the"
        " last half-year, or too little is known before it to learn from",
        "fr": "pas de jour de la prochaine commande : {ordered} clients sur {customers} ont"
        " recommandé au dernier semestre, ou l’historique d’avant est trop court pour apprendre",
    },
    "retired": {
        "en": "no day of the next order: the score was retired",
        "fr": "pas de jour de la prochaine commande : le score a été retiré",
    },
}


def verdict_sentence(outcome: str, facts: Mapping[str, Any], language: str) -> str:
    """Why the day of the next order is told, or is not."""
    code = language_of(language)
    evaluation = facts.get("evaluation") or {}
    method = evaluation.get("method") or (outcome if outcome in ("rhythm", "recency") else "rhythm")
    own = evaluation.get(method) or {}
    other = evaluation.get("recency" if method == "rhythm" else "rhythm") or {}

    half = ((own.get("ends") or {}).get("0.5") or {}).get("ordered")
    return _VERDICTS[outcome][code].format(
        customers=figure(evaluation.get("customers", 0), code, 0),
        ordered=figure(evaluation.get("ordered", 0), code, 0),
        days=evaluation.get("days", 0),
        half="–" if half is None else format_percent(half, code, 0),
        coverage=_coverage(own, code),
        brier=figure(own.get("brier"), code, 4),
        rival=figure(other.get("brier"), code, 4),
    )


def _coverage(own: Mapping[str, Any], code: str) -> str:
    """How often the interval held, among those whose whole interval lay in the days watched."""
    coverage, count = own.get("coverage"), own.get("interval_customers", 0)
    if coverage is None or count < LEAST_TO_TELL:
        return (
            "on ne sait quelle part, trop peu étant à terme"
            if code == "fr"
            else "a share not known yet, as too few had ended"
        )
    of = "clients dont il était à terme" if code == "fr" else "customers for whom it had ended"
    among = "parmi les" if code == "fr" else "of the"
    return f"{format_percent(coverage, code, 0)} {among} {figure(count, code, 0)} {of}"


def model_card(facts: Mapping[str, Any], language: str) -> str:
    """The model card: what it is, how it was tested."""
    french = language_of(language) == "fr"
    evaluation = facts["evaluation"]
    title = "Prochaine commande" if french else "Next order"
    verdict = verdict_sentence(facts["outcome"], facts, language)
    gap = "Écart moyen entre commandes" if french else "Mean gap between orders"
    head = (
        "| | Brier | couverture | jours d’intervalle | erreur médiane, jours |"
        if french
        else "| | Brier | coverage | days of interval | median error, days |"
    )
    names = {
        "rhythm": "rythme" if french else "rhythm",
        "recency": "récence" if french else "recency",
    }
    lines = [
        f"# {title}, version `{facts['version']}`",
        "",
        f"- **Verdict** : {verdict}.",
        f"- **{gap}** : {facts['mean_gap_days']:.0f}.",
        "",
        f"## Test, {evaluation['cut']} + {evaluation['days']}",
        "",
        head,
        "|---|---|---|---|---|",
    ]
    for name, label in names.items():
        row = evaluation[name]
        cells = [row[key] for key in ("brier", "coverage", "interval_days", "median_error_days")]
        figures = " | ".join(
            figure(cell, language, digits) for cell, digits in zip(cells, (4, 3, 0, 0), strict=True)
        )
        lines.append(f"| {label} | {figures} |")
    category = evaluation.get("category")
    if category:
        own, popular = (format_percent(category[name], language, 0) for name in ("own", "popular"))
        said = (
            f"La catégorie la plus achetée du client était dans {own} des commandes suivantes, la"
            f" plus achetée de tous dans {popular}."
            if french
            else f"The customer's own most bought category was in {own} of the next orders,"
            f" everyone's in {popular}."
        )
        lines += ["", said]
    return "\n".join([*lines, ""])
