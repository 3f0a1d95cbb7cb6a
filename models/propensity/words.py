"""Propensities in words, French and English: reasons, verdicts, the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cohorte.i18n import format_percent
from cohorte.segments import build_catalogue
from models.challenge import beside_the_rule
from models.measures import figure

__all__ = ["feature_label", "model_card", "reason_sentence", "verdict_sentence"]

_WORDS = {
    "en": {"missing": "not known", "yes": "yes", "no": "no"},
    "fr": {"missing": "inconnu", "yes": "oui", "no": "non"},
}

_VERDICTS = {
    "learned": {
        "en": "learned score: AUC {auc} against {rule_auc} for the best single feature"
        " ({feature}), Brier score {brier} against {rule_brier}, on {tested} customers of"
        " {days} later days",
        "fr": "score appris : AUC {auc} contre {rule_auc} pour le meilleur critère seul"
        " ({feature}), score de Brier {brier} contre {rule_brier}, sur {tested} clients de"
        " {days} jours ultérieurs",
    },
    "no_better_than_rule": {
        "en": "one feature ({feature}): the score of all did no better, beyond noise, on {tested}"
        " customers of {days} later days (AUC {auc} against {rule_auc}, Brier score {brier}"
        " against {rule_brier})",
        "fr": "un seul critère ({feature}) : le score de tous n’a pas fait mieux, bruit compris,"
        " sur {tested} clients de {days} jours ultérieurs (AUC {auc} contre {rule_auc}, score de"
        " Brier {brier} contre {rule_brier})",
    },
    "too_few_positives": {
        "en": "no score: {positives} of {customers} did it, too few to learn from and to test",
        "fr": "pas de score : {positives} sur {customers} l’ont fait, trop peu pour apprendre et"
        " éprouver",
    },
    "one_class": {
        "en": "no score: nearly all of the {customers} did it",
        "fr": "pas de score : presque tous les {customers} l’ont fait",
    },
    "too_short_to_test": {
        "en": "no score: the history is too short to learn from one day and to test on a later one",
        "fr": "pas de score : l’historique est trop court pour apprendre d’un jour et éprouver sur"
        " un jour ultérieur",
    },
    "nobody": {
        "en": "no score: nobody met the rule of whom it is asked on the days past",
        "fr": "pas de score : personne ne remplissait la règle de départ les jours passés",
    },
    "not_trained": {
        "en": "no score yet: train it with cohorte train {name}",
        "fr": "pas encore de score : l’entraîner avec cohorte train {name}",
    },
    "not_learned_yet": {
        "en": "no score: every version has learned from what came after {as_of}; train one with"
        " cohorte train {name} --as-of {as_of}",
        "fr": "pas de score : toutes les versions ont appris de ce qui a suivi le {as_of} ; en"
        " entraîner une avec cohorte train {name} --as-of {as_of}",
    },
    "retired": {
        "en": "no score: its versions were retired",
        "fr": "pas de score : ses versions ont été retirées",
    },
    "drifted": {
        "en": "the scores before stay: {drifted} moved too far from what was learned (PSI {psi})",
        "fr": "les scores d’avant restent : {drifted} s’est trop éloigné de ce qui a été appris"
        " (PSI {psi})",
    },
    "another_question": {
        "en": "the file asks something else than what was learned: train it again",
        "fr": "le fichier demande autre chose que ce qui a été appris : l’entraîner à nouveau",
    },
}


def feature_label(name: str, language: str) -> str:
    """What a feature is called on screen."""
    fields = build_catalogue({name: "DOUBLE"}).fields
    return fields[name].label(language) if name in fields else name.replace("_", " ").capitalize()


def reason_sentence(reason: Mapping[str, Any], language: str) -> str:
    """One reason in words: ``Days since last order 12: odds × 1.80``."""
    words = _WORDS["fr" if language == "fr" else "en"]
    odds = figure(math.exp(float(reason["contribution"])), language, 2)
    name = str(reason["feature"])
    value = _value(name, reason.get("value"), language, words)
    joined = f"{feature_label(name, language)}{' : ' if language == 'fr' else ': '}{value}"
    return f"{joined} ({'cote' if language == 'fr' else 'odds'} ×\N{NO-BREAK SPACE}{odds})"


def _value(name: str, value: Any, language: str, words: Mapping[str, str]) -> str:
    if value is None:
        return words["missing"]
    if name.startswith(("has_", "is_")):
        return words["yes"] if value else words["no"]
    if isinstance(value, float):
        return figure(value, language, 0 if value.is_integer() else 2)
    return str(value)


def verdict_sentence(outcome: str, facts: Mapping[str, Any], language: str) -> str:
    """Why the learned score serves, a single feature does, or none."""
    tongue = "fr" if language == "fr" else "en"
    evaluation = facts.get("evaluation") or {}
    learned, rule = evaluation.get("learned") or {}, evaluation.get("rule") or {}
    feature = evaluation.get("rule_feature")
    values = {
        "name": facts.get("name", ""),
        "as_of": facts.get("as_of", ""),
        "customers": figure(facts.get("customers"), tongue, 0),
        "positives": figure(facts.get("positives"), tongue, 0),
        "tested": figure(learned.get("rows"), tongue, 0),
        "days": len(evaluation.get("test_days") or []),
        "feature": feature_label(str(feature), tongue) if feature else "",
        "auc": figure(learned.get("auc"), tongue),
        "rule_auc": figure(rule.get("auc"), tongue),
        "brier": figure(learned.get("brier"), tongue, 4),
        "rule_brier": figure(rule.get("brier"), tongue, 4),
        "drifted": feature_label(str(facts.get("drifted", "")), tongue),
        "psi": figure(facts.get("psi"), tongue, 2),
    }
    return _VERDICTS[outcome][tongue].format(**values)


def model_card(facts: Mapping[str, Any], language: str) -> str:
    """What the score is, what it learned from, how well it did: Markdown, ``fr`` or ``en``."""
    french = language == "fr"
    evaluation = facts["evaluation"]
    title = facts["title"].get(language) or next(iter(facts["title"].values()))
    names = ", ".join(feature_label(item["name"], language) for item in facts["features"])
    left_out = "; ".join(
        f"{feature_label(name, language)} ({why})" for name, why in facts["left_out"].items()
    )
    verdict = verdict_sentence(facts["outcome"], facts, language)
    horizon, days = facts["horizon_days"], facts["days"]
    shuffled = evaluation["shuffled"]
    share = facts["customers"] / max(facts.get("asked_of", 0), 1)
    drawn = ""
    if 0 < share < 1:
        said = format_percent(share, language)
        drawn = f" ; {said} de toutes, tirées" if french else f"; {said} of all, drawn"
    if french:
        lines = [
            f"# {title}, version `{facts['version']}`",
            "",
            f"Probabilité que la règle soit remplie dans {horizon} jours.",
            "",
            f"- **Demandé de** : {facts['who'][language]}",
            f"- **Sera rempli** : {facts['will'][language]}",
            f"- **Verdict** : {verdict}.",
            *beside_the_rule(evaluation, "fr"),
            (
                f"- **Appris sur** : {facts['customers']} lignes de {len(days)} jours, du"
                f" {days[-1]} au {days[0]}, dont {facts['positives']} positives{drawn}."
            ),
            f"- **Critères, connus le jour même** : {names}.",
            f"- **Écartés** : {left_out or 'aucun'}.",
            f"- **Calibrage** : pente du logit {figure(evaluation['logit_slope'], 'fr')}.",
            "",
            (
                "Épreuve chronologique (celle qui compte) : appris sur des jours dont l’issue était"
                " connue, noté sur un jour ultérieur."
            ),
            "",
            "| | AUC | Brier | log-loss | erreur de calibrage |",
        ]
        labels = {"learned": "score appris", "rule": "un seul critère", "base_rate": "taux de base"}
        mixed = (
            f"Mélangée, par client : AUC {figure(shuffled['auc'], 'fr')}, Brier"
            f" {figure(shuffled['brier'], 'fr', 4)}. Elle ne compte pas : le temps n’y"
            " a pas prise."
        )
        limits = (
            "Limites : une prévision, pas un effet ; elle décrit des clients semblables à ceux du"
            " passé et ne dit pas ce qui les ferait agir."
        )
    else:
        lines = [
            f"# {title}, version `{facts['version']}`",
            "",
            f"Probability that the rule is met {horizon} days later.",
            "",
            f"- **Asked of**: {facts['who'][language]}",
            f"- **Will be met**: {facts['will'][language]}",
            f"- **Verdict**: {verdict}.",
            *beside_the_rule(evaluation, "en"),
            (
                f"- **Learned from**: {facts['customers']} rows of {len(days)} days, {days[-1]} to"
                f" {days[0]}, {facts['positives']} of them positive{drawn}."
            ),
            f"- **Features, known on the day itself**: {names}.",
            f"- **Left out**: {left_out or 'none'}.",
            f"- **Calibration**: slope of the logit {figure(evaluation['logit_slope'], 'en')}.",
            "",
            (
                "Chronological test (the one that counts): learned from days whose outcome was"
                " known, scored on a later day."
            ),
            "",
            "| | AUC | Brier | log-loss | calibration error |",
        ]
        labels = {"learned": "learned score", "rule": "one feature", "base_rate": "base rate"}
        mixed = (
            f"Shuffled, by customer: AUC {figure(shuffled['auc'], 'en')}, Brier"
            f" {figure(shuffled['brier'], 'en', 4)}. It does not count: time has no part in it."
        )
        limits = (
            "Limits: a forecast, not an effect; it describes customers like those of the past and"
            " does not say what would make them act."
        )
    lines.append("|---|---|---|---|---|")
    for key, label in labels.items():
        row = evaluation[key]
        figures = [
            figure(row["auc"], language),
            figure(row["brier"], language, 4),
            figure(row["log_loss"], language, 4),
            figure(row["calibration_error"], language),
        ]
        lines.append(f"| {label} | {' | '.join(figures)} |")
    return "\n".join([*lines, "", mixed, "", limits, ""])
