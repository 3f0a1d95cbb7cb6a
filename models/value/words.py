"""The value score in words, French and English: reasons, verdicts, the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from cohorte.i18n import format_percent
from models.measures import figure

__all__ = ["SIMILAR", "feature_label", "model_card", "reason_sentence", "verdict_sentence"]

SIMILAR = "similar_customers"
"""The only reason of the rule: how customers of the same cell did."""

_LABELS: dict[str, dict[str, str]] = {
    "order_days_count": {"en": "Days with an order", "fr": "Jours avec commande"},
    "days_since_last_order": {
        "en": "Days since the last order",
        "fr": "Jours depuis la dernière commande",
    },
    "days_since_first_order": {
        "en": "Days since the first order",
        "fr": "Jours depuis la première commande",
    },
    "mean_order_value": {
        "en": "Spend per day with an order",
        "fr": "Dépense par jour de commande",
    },
}

_REASONS: dict[str, dict[str, str]] = {
    "order_days_count": {"en": "Ordered on {value} days", "fr": "Commandes sur {value} jours"},
    "days_since_last_order": {
        "en": "Last order {value} days ago, for their rhythm",
        "fr": "Dernière commande il y a {value} jours, à leur rythme",
    },
    "days_since_first_order": {
        "en": "First order {value} days ago",
        "fr": "Première commande il y a {value} jours",
    },
    SIMILAR: {
        "en": "Of similar customers, {value} ordered again",
        "fr": "Parmi les clients semblables, {value} ont recommandé",
    },
}

_VERDICTS: dict[str, dict[str, str]] = {
    "learned": {
        "en": "learned value score: orders off by {rmse} a customer (root mean square) against"
        " {cells} for similar customers' means and {year} for last year's, AUC {auc} against"
        " {cells_auc} and {year_auc}, on {tests} past days",
        "fr": "score de valeur appris : écart quadratique de {rmse} commandes par client contre"
        " {cells} pour la moyenne des clients semblables et {year} pour l’an passé, AUC {auc}"
        " contre {cells_auc} et {year_auc}, sur {tests} jours passés",
    },
    "no_better_than_rule": {
        "en": "value by {rule}: the learned score did no better, beyond noise, on {tests} past"
        " days (orders off by {rmse} against {cells} and, as last year, {year}; AUC {auc} against"
        " {cells_auc} and {year_auc})",
        "fr": "valeur selon {rule} : le score appris n’a pas fait mieux, bruit compris,"
        " sur {tests} jours passés (écart de {rmse} commandes contre {cells} et, comme l’an passé,"
        " {year} ; AUC {auc} contre {cells_auc} et {year_auc})",
    },
    "too_short_to_test": {
        "en": "no value score: the history is too short to test one on days past",
        "fr": "pas de score de valeur : l’historique est trop court pour l’éprouver sur des jours"
        " passés",
    },
    "too_few_repeat_buyers": {
        "en": "no value score: {repeat_buyers} customers who ordered on two days are too few",
        "fr": "pas de score de valeur : {repeat_buyers} clients ayant commandé deux jours"
        " différents, c’est trop peu",
    },
    "no_amounts": {
        "en": "no value score: too few customers have amounts in the reporting currency",
        "fr": "pas de score de valeur : trop peu de clients ont des montants dans la devise de"
        " référence",
    },
    "nothing_new": {
        "en": "no value score: no order in the last {horizon} days",
        "fr": "pas de score de valeur : aucune commande ces {horizon} derniers jours",
    },
    "retired": {
        "en": "no value score: it was retired; promote a version to serve it again",
        "fr": "pas de score de valeur : il a été retiré ; promouvoir une version pour le servir à"
        " nouveau",
    },
    "no_orders": {
        "en": "no value score: there are no orders of customers",
        "fr": "pas de score de valeur : il n’y a pas de commande de clients",
    },
}


_SPEND: dict[str, dict[str, str]] = {
    "boosted": {
        "en": "; spend by boosted trees over the forecast, nearer on each of these days: off by"
        " {boosted} against {forecast}, {cell_means} and {last_year}",
        "fr": " ; dépense par arbres renforcés sur la prévision, plus proches chacun de ces jours :"
        " écart de {boosted} contre {forecast}, {cell_means} et {last_year}",
    },
    "forecast": {
        "en": "; spend by the forecast alone: boosted trees were not nearer on each of these days"
        " (off by {boosted} against {forecast})",
        "fr": " ; dépense par la prévision seule : les arbres renforcés n’étaient pas plus proches"
        " chacun de ces jours (écart de {boosted} contre {forecast})",
    },
}

_SEASONS: dict[str, dict[str, str]] = {
    "last_year": {
        "en": "what came last year in these weeks over what was forecast then",
        "fr": "ce qui est venu l’an passé ces semaines-là, rapporté à la prévision d’alors",
    },
    "like_customers": {
        "en": "what like customers, known for as long, did last year in these weeks",
        "fr": "ce que des clients semblables, connus depuis aussi longtemps, ont fait l’an passé"
        " ces semaines-là",
    },
}

_RULES: dict[str, dict[str, str]] = {
    "cell_means": {"en": "similar customers' means", "fr": "la moyenne des clients semblables"},
    "last_year": {"en": "last year's orders", "fr": "les commandes de l’an passé"},
}


def reason_sentence(reason: Mapping[str, Any], language: str) -> str:
    """One reason in words: ``Last order 12 days ago: odds × 1.80``."""
    tongue = _tongue(language)
    feature, value = str(reason["feature"]), reason["value"]
    shown = format_percent(float(value), tongue, 0) if feature == SIMILAR else str(value)
    pattern = _REASONS.get(feature, {}).get(tongue, feature.replace("_", " ") + " {value}")
    odds = figure(math.exp(float(reason["contribution"])), tongue, 2)
    what = pattern.format(value=shown)
    return (
        f"{what}\N{NO-BREAK SPACE}: cote ×\N{NO-BREAK SPACE}{odds}"
        if tongue == "fr"
        else f"{what}: odds ×\N{NO-BREAK SPACE}{odds}"
    )


def feature_label(feature: str, language: str) -> str:
    """What a part of a history is called where it is changed."""
    return _LABELS[feature][_tongue(language)]


def verdict_sentence(outcome: str, facts: Mapping[str, Any], language: str) -> str:
    """Why the learned score serves, the rule does, or none."""
    tongue = _tongue(language)
    evaluation = facts.get("evaluation") or {}
    mean = evaluation.get("mean") or {}
    values: dict[str, Any] = {
        "rule": _RULES[str(facts.get("method"))][tongue] if facts.get("method") in _RULES else "",
        "repeat_buyers": facts.get("repeat_buyers"),
        "horizon": facts.get("horizon_days"),
        "tests": len(evaluation.get("tests") or []),
    }
    for method, name in (("learned", ""), ("cell_means", "cells"), ("last_year", "year")):
        row = mean.get(method) or {}
        values[name or "rmse"] = figure(row.get("orders_rmse"), tongue)
        values[f"{name}_auc" if name else "auc"] = figure(row.get("auc"), tongue)
    return _VERDICTS[outcome][tongue].format(**values) + _spend(outcome, evaluation, facts, tongue)


def _spend(
    outcome: str, evaluation: Mapping[str, Any], facts: Mapping[str, Any], tongue: str
) -> str:
    """What tells the spend beside the orders, and why."""
    off = evaluation.get("spend") or {}
    if outcome != "learned" or "boosted" not in off:
        return ""
    figures = {name: figure(value, tongue, 1) for name, value in off.items()}
    return _SPEND[str(facts.get("spend", "forecast"))][tongue].format(**figures)


def model_card(facts: Mapping[str, Any], language: str) -> str:
    """What the score is, what it learned from, how well it did: Markdown, ``fr`` or ``en``."""
    tongue = _tongue(language)
    french = tongue == "fr"
    horizon, until = facts["horizon_days"], _day(facts["cut"])
    verdict = verdict_sentence(facts["outcome"], facts, tongue)
    if french:
        lines = [
            f"# Valeur et activité, version `{facts['version']}`",
            "",
            (
                f"Pour chaque client : commandes et dépense nette attendues dans les {horizon}"
                " jours, probabilité d’au moins une commande, et d’aucune."
            ),
            "",
            f"- **Verdict** : {verdict}.",
            (
                f"- **Appris sur** : {facts['customers']} clients, dont {facts['repeat_buyers']}"
                f" ayant commandé au moins deux jours différents, jusqu’au {until}."
            ),
        ]
        head = (
            "| épreuve | méthode | écart | écart de dépense | total commandes | total dépense"
            " | AUC | Brier |"
        )
        labels = {
            "learned": "appris", "boosted": "avec arbres renforcés",
            "cell_means": "clients semblables", "last_year": "an passé",
        }  # fmt: skip
        limits = (
            "Limites : une prévision, pas un effet. La saison est celle de l’an passé. Plusieurs"
            " commandes d’un même jour comptent pour une. L’intervalle est celui de quatre clients"
            " sur cinq à prévision égale."
        )
    else:
        lines = [
            f"# Value and activity, version `{facts['version']}`",
            "",
            (
                f"For each customer: orders and net spend expected within {horizon} days, the"
                " probability of at least one order, and of none."
            ),
            "",
            f"- **Verdict**: {verdict}.",
            (
                f"- **Learned from**: {facts['customers']} customers, of whom"
                f" {facts['repeat_buyers']} ordered on two days or more, until {until}."
            ),
        ]
        head = (
            "| tested on | method | orders off | spend off | total orders | total spend"
            " | AUC | Brier |"
        )
        labels = {
            "learned": "learned", "boosted": "with boosted trees",
            "cell_means": "similar customers", "last_year": "last year",
        }  # fmt: skip
        limits = (
            "Limits: a forecast, not an effect. The season is last year's. Several orders of a day"
            " count as one. The interval is where four in five customers of the same forecast were."
        )
    if facts.get("parameters"):
        shown = ", ".join(
            f"{name} {figure(value, tongue)} (± {figure(error, tongue)})"
            for name, value, error in facts["parameters"]
        )
        lines.append(f"- **{'Paramètres' if french else 'Parameters'}**: {shown}.")
    if facts.get("is_identified") is False:
        lines.append(
            "- **Attention** : les données ne fixent pas tous les paramètres ; lire les prévisions,"
            " pas les paramètres."
            if french
            else "- **Mind**: the data do not pin all parameters down; read the forecasts, not the"
            " parameters."
        )
    lines += _season_lines(facts, tongue)
    lines += ["", head, "|---|---|---|---|---|---|---|---|"]
    for test in facts["evaluation"]["tests"]:
        for method, row in test["methods"].items():
            figures = [
                figure(row["orders_rmse"], tongue),
                figure(row["revenue_rmse"], tongue, 1),
                _share(row["orders_total_off"], tongue),
                _share(row["revenue_total_off"], tongue),
                figure(row["auc"], tongue),
                figure(row["brier"], tongue),
            ]
            label = labels.get(method, "Pareto/NBD")
            lines.append(f"| {_day(test['cut'])} | {label} | {' | '.join(figures)} |")
    return "\n".join([*lines, "", limits, ""])


def _season_lines(facts: Mapping[str, Any], tongue: str) -> list[str]:
    """How the season is told, and why so; nothing where no year before tells one."""
    evaluation = facts["evaluation"]
    if not any(test["has_season"] for test in evaluation["tests"]):
        return []
    told, off = _SEASONS[evaluation["season"]][tongue], evaluation["seasons"]
    other = next(name for name in off if name != evaluation["season"])
    mine, theirs = (_share(off[name], tongue) for name in (evaluation["season"], other))
    if tongue == "fr":
        return [f"- **Saison** : {told} (totaux à {mine} près sur les épreuves, sinon {theirs})."]
    return [f"- **Season**: {told} (totals of the tests off by {mine}, else by {theirs})."]


def _tongue(language: str) -> str:
    return "fr" if language == "fr" else "en"


def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def _share(value: float | None, language: str) -> str:
    return "–" if value is None else format_percent(value, language)
