"""The lead score in words, French and English: reasons, verdicts, the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cohorte.i18n import format_percent
from models.challenge import beside_the_rule
from models.leads.features import FEATURES
from models.measures import figure
from models.reasons import POINTS_FEATURE

__all__ = ["AGE_FEATURE", "model_card", "reason_sentence", "verdict_sentence"]

Language = Literal["fr", "en"]

AGE_FEATURE = "days_since_created"
"""The reason that a lead has been open for some time."""

_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "missing": "not given",
        "yes": "yes",
        "no": "no",
        "age": "Open for {value} days",
        "points": "{name}: {value} points",
        "blend": "; blended with the company's rules: {learned} learned, {rules} rules",
        "creation": "when it comes in",
        "contact": "when sales contact it",
        "close": "when it is closed",
        "up": "{what}: odds ×\N{NO-BREAK SPACE}{odds}",
        "is": "{name} is {value}",
        "weekdays": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    },
    "fr": {
        "missing": "non renseigné",
        "yes": "oui",
        "no": "non",
        "age": "Ouvert depuis {value} jours",
        "points": "{name} : {value} points",
        "blend": " ; mêlé aux règles de l’entreprise : {learned} appris, {rules} règles",
        "creation": "à son arrivée",
        "contact": "à la prise de contact",
        "close": "à sa clôture",
        "up": "{what} : cote ×\N{NO-BREAK SPACE}{odds}",
        "is": "{name} = {value}",
        "weekdays": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    },
}

_VERDICTS: dict[str, dict[str, str]] = {
    "learned": {
        "en": "learned score: AUC {auc} against {rule_auc} for the base rate by channel, Brier"
        " score {brier} against {rule_brier}, on {tested} later leads",
        "fr": "score appris : AUC {auc} contre {rule_auc} pour le taux de base par canal, score de"
        " Brier {brier} contre {rule_brier}, sur {tested} leads ultérieurs",
    },
    "no_better_than_base_rate": {
        "en": "base rate by channel: the learned score did no better, beyond noise, on"
        " {tested} later leads (AUC {auc} against {rule_auc}, Brier score {brier} against"
        " {rule_brier})",
        "fr": "taux de base par canal : le score appris n’a pas fait mieux, bruit compris, sur"
        " {tested} leads ultérieurs (AUC {auc} contre {rule_auc}, score de Brier {brier} contre"
        " {rule_brier})",
    },
    "too_few_to_learn": {
        "en": "base rate by channel: {conversions} conversions are too few to learn from",
        "fr": "taux de base par canal : {conversions} conversions, trop peu pour apprendre",
    },
    "too_short_to_test": {
        "en": "base rate by channel: the history is too short to test a learned score on leads"
        " that came after those it learned from",
        "fr": "taux de base par canal : l’historique est trop court pour éprouver un score appris"
        " sur des leads venus après ceux qui l’ont instruit",
    },
    "undated_conversions": {
        "en": "base rate by channel: too many conversions carry no date, so nothing can be tested"
        " on later leads",
        "fr": "taux de base par canal : trop de conversions sont sans date, rien ne peut être"
        " éprouvé sur des leads ultérieurs",
    },
    "rules_alone": {
        "en": "rule score alone: {conversions} conversions among {leads} leads with a known outcome"
        " are too few to learn from",
        "fr": "score par règles seul : {conversions} conversions parmi {leads} leads à l’issue"
        " connue, trop peu pour apprendre",
    },
    "too_few_conversions": {
        "en": "no score: {conversions} conversions among {leads} leads with a known outcome are"
        " too few even for a rate",
        "fr": "pas de score : {conversions} conversions parmi {leads} leads à l’issue connue,"
        " trop peu même pour un taux",
    },
    "one_class": {
        "en": "no score: nearly all of the {leads} leads with a known outcome converted",
        "fr": "pas de score : presque tous les {leads} leads à l’issue connue ont converti",
    },
    "retired": {
        "en": "no score: it was retired; promote a version to serve it again",
        "fr": "pas de score : il a été retiré ; promouvoir une version pour le servir à nouveau",
    },
    "no_leads": {"en": "no score: there are no leads", "fr": "pas de score : il n’y a pas de lead"},
}


def reason_sentence(reason: Mapping[str, Any], language: str) -> str:
    """One reason of a lead's score in words: ``Channel is email: odds × 0.53``.

    Parameters
    ----------
    reason
        ``feature``, ``value`` and ``contribution``, as stored with the score.
    language
        ``fr``; anything else reads English.
    """
    words = _WORDS["fr" if language == "fr" else "en"]
    odds = figure(math.exp(float(reason["contribution"])), language, 2)
    feature, value = str(reason["feature"]), reason.get("value")
    if feature == AGE_FEATURE:
        what = words["age"].format(value=value)
    elif feature == POINTS_FEATURE:
        named = reason["rule"]
        name = named.get(language) or named.get("en") or next(iter(named.values()))
        what = words["points"].format(name=name, value=f"{int(value or 0):+d}" if value else 0)
    else:
        known = FEATURES.get(feature)
        name = (
            known.words["fr" if language == "fr" else "en"]
            if known
            else feature.replace("_", " ").capitalize()
        )
        what = words["is"].format(name=name, value=_value(feature, value, language, words))
    return words["up"].format(what=what, odds=odds)


def _value(feature: str, value: Any, language: str, words: Mapping[str, str]) -> str:
    if value is None:
        return words["missing"]
    if feature.startswith(("has_", "is_")):
        return words["yes"] if value else words["no"]
    if feature == "created_weekday" and 1 <= int(value) <= 7:
        return words["weekdays"].split()[int(value) - 1]
    if isinstance(value, float):
        return figure(value, language, 2)
    return str(value)


def verdict_sentence(outcome: str, facts: Mapping[str, Any], language: str) -> str:
    """Why the learned score serves, the simple rule does, or none.

    ``facts`` is the metadata of an artifact, or what a refused training counted, with the
    evaluation under ``evaluation``.
    """
    evaluation = facts.get("evaluation") or {}
    learned = evaluation.get("learned") or {}
    rule = evaluation.get("base_rate_by_channel") or {}
    values = {
        "leads": figure(facts.get("leads"), language, 0),
        "conversions": figure(facts.get("conversions"), language, 0),
        "tested": figure((evaluation.get("test") or {}).get("leads"), language, 0),
        "auc": figure(learned.get("auc"), language),
        "rule_auc": figure(rule.get("auc"), language),
        "brier": figure(learned.get("brier"), language, 4),
        "rule_brier": figure(rule.get("brier"), language, 4),
    }
    verdict = _VERDICTS[outcome]["fr" if language == "fr" else "en"].format(**values)
    weight = facts.get("learned_weight")
    if not facts.get("rules") or weight is None or outcome == "rules_alone":
        return verdict
    shares = {
        "learned": format_percent(weight, language, 0),
        "rules": format_percent(1 - weight, language, 0),
    }
    return verdict + _WORDS["fr" if language == "fr" else "en"]["blend"].format(**shares)


def model_card(facts: Mapping[str, Any], language: str) -> str:
    """What the score is, what it learned from, how well it did: Markdown, ``fr`` or ``en``."""
    french = language == "fr"
    evaluation = facts["evaluation"]
    names = ", ".join(
        FEATURES[item["name"]].words[language] if item["name"] in FEATURES else item["name"]
        for item in facts["features"]
    )
    first, last = (_day(moment) for moment in facts["window"])
    horizon, version = facts["horizon_days"], facts["version"]
    verdict = verdict_sentence(facts["outcome"], facts, language)
    if french:
        lines = [
            f"# Score des leads, version `{version}`",
            "",
            (
                f"Probabilité qu’un lead se convertisse dans les {horizon} jours suivant son"
                " arrivée ; pour un lead encore ouvert, dans ce qu’il en reste."
            ),
            "",
            f"- **Verdict** : {verdict}.",
            *beside_the_rule(evaluation, "fr"),
            (
                f"- **Appris sur** : {facts['leads']} leads arrivés du {first} au {last}, dont"
                f" {facts['conversions']} convertis dans le délai."
            ),
            f"- **Caractéristiques connues à l’arrivée** : {names or 'aucune'}.",
            f"- **Calibrage** : pente du logit {figure(facts['logit_slope'], 'fr')}.",
            *_more(facts, "fr"),
            "",
            "Épreuve : chaque lead est noté par ce qui était connu avant son arrivée.",
            "",
            "| | AUC | Brier | log-loss | erreur de calibrage |",
        ]
        labels = {
            "blend": "score appris et règles, mêlés",
            "learned": "score appris",
            "rules": "score par règles",
            "base_rate_by_channel": "taux de base par canal",
            "base_rate": "taux de base",
        }
        limits = (
            "Limites : le score décrit des leads semblables à ceux du passé ; il ne dit pas ce qui"
            " ferait convertir un lead. Un canal ou une page jamais vus comptent comme rares."
            " L’âge d’un lead ouvert réduit sa cote de la même façon pour tous."
        )
    else:
        lines = [
            f"# Lead score, version `{version}`",
            "",
            (
                f"Probability that a lead converts within {horizon} days of coming in; for a lead"
                " still open, within what is left of them."
            ),
            "",
            f"- **Verdict**: {verdict}.",
            *beside_the_rule(evaluation, "en"),
            (
                f"- **Learned from**: {facts['leads']} leads that came in from {first} to {last},"
                f" of which {facts['conversions']} converted in time."
            ),
            f"- **Features, known when a lead comes in**: {names or 'none'}.",
            f"- **Calibration**: slope of the logit {figure(facts['logit_slope'], 'en')}.",
            *_more(facts, "en"),
            "",
            "Test: each lead is scored by what was known before it came in.",
            "",
            "| | AUC | Brier | log-loss | calibration error |",
        ]
        labels = {
            "blend": "learned score and rules, blended",
            "learned": "learned score",
            "rules": "rule score",
            "base_rate_by_channel": "base rate by channel",
            "base_rate": "base rate",
        }
        limits = (
            "Limits: the score describes leads like those of the past; it does not say what would"
            " make a lead convert. A channel or page never seen counts as a rare one. The age of"
            " an open lead shrinks its odds alike for all."
        )
    lines.append("|---|---|---|---|---|")
    if "test" not in evaluation or not evaluation["test"]["leads"]:
        lines = [*lines[:-4], "Épreuve : aucune." if french else "Test: none."]
    for key, label in labels.items():
        if key in evaluation:
            row = evaluation[key]
            figures = [
                figure(row["auc"], language),
                figure(row["brier"], language, 4),
                figure(row["log_loss"], language, 4),
                figure(row["calibration_error"], language),
            ]
            lines.append(f"| {label} | {' | '.join(figures)} |")
    return "\n".join([*lines, "", limits, ""])


def _more(facts: Mapping[str, Any], language: str) -> list[str]:
    """Lines of the card on what was refused, the rules and what a deal is worth."""
    french = language == "fr"
    words = _WORDS[language]
    lines = []
    refused = [
        (
            f"{feature_label(one['feature'], language)} (source {one['source']} : {one['field']}"
            f" est saisi {words[one['known_at']]})"
            if french
            else f"{feature_label(one['feature'], language)} (source {one['source']}:"
            f" {one['field']} is entered {words[one['known_at']]})"
        )
        for one in facts.get("refused", [])
    ]
    if refused:
        head = "Refusé, car su trop tard" if french else "Refused, because known too late"
        lines.append(f"- **{head}**{' :' if french else ':'} {', '.join(refused)}.")
    if facts.get("rules"):
        rules = facts["rules"]
        told = ", ".join(
            f"{rule['name'].get(language) or next(iter(rule['name'].values()))} {rule['points']:+d}"
            for rule in rules["rules"].values()
        )
        double = f"{rules['points_to_double_odds']:g}"
        share = format_percent(1 - facts["learned_weight"], language, 0)
        lines.append(
            f"- **Règles** (part {share} ; {double} points doublent la cote) : {told}."
            if french
            else f"- **Rules** (share {share}; {double} points double the odds): {told}."
        )
    deals = facts.get("deals")
    if deals:
        amount = figure(deals["mean_amount"], language, 0)
        rate = format_percent(deals["win_rate"], language, 0)
        by = deals["outcome"] == "by_feature"
        if french:
            how = "selon ce qui est connu à l’arrivée" if by else "la moyenne pour tous"
            lines.append(
                f"- **Valeur d’une affaire** : {amount} en moyenne sur {deals['deals']} gagnées,"
                f" {how} ; {rate} des affaires décidées sont gagnées."
            )
        else:
            how = "by what is known when a lead comes in" if by else "the mean for all"
            lines.append(
                f"- **Worth of a deal**: {amount} on average over {deals['deals']} won, {how};"
                f" {rate} of those decided are won."
            )
    return lines


def feature_label(feature: str, language: str) -> str:
    """What a feature of a lead is called."""
    known = FEATURES.get(feature)
    return known.words[language] if known else feature.replace("_", " ").capitalize()


def _day(days: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=float(days))
    return moment.date().isoformat()
