"""Whether a new fit replaces what serves, and why: reasons as codes with values, in two languages.

A challenger is promoted only if it beats the champion on the newest window, which neither has
learned from, by more than its noise; a learned score serves only if it so beats a simple rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import roc_auc_score

from models.measures import figure, rounded

__all__ = [
    "NOISE",
    "Reason",
    "beats_rule",
    "beside_the_rule",
    "compared",
    "contest",
    "gain_and_noise",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NOISE = 2.0
"""Standard errors by which a challenger must do better than what serves, a score than a rule."""

SENTENCES: dict[str, dict[str, str]] = {
    "nothing_served": {"en": "nothing served before it", "fr": "rien ne servait avant"},
    "question_changed": {
        "en": "the question changed",
        "fr": "la question a changé",
    },
    "recipe_changed": {
        "en": "the way of learning changed with this release",
        "fr": "la façon d’apprendre a changé avec cette version du logiciel",
    },
    "rules_changed": {
        "en": "the rules that give points changed",
        "fr": "les règles qui donnent des points ont changé",
    },
    "fields_changed": {
        "en": "the fields that may be read changed",
        "fr": "les champs qui peuvent être lus ont changé",
    },
    "same_version": {
        "en": "nothing new: the same version as before",
        "fr": "rien de neuf : la même version qu’avant",
    },
    "earlier_day": {
        "en": "it looks from an earlier day than what serves; it scores days past",
        "fr": "elle regarde depuis un jour antérieur à celle qui sert ; elle note les jours passés",
    },
    "no_day": {
        "en": "there is no day to compare on",
        "fr": "il n’y a pas de jour où comparer",
    },
    "retired": {
        "en": "the score was retired; promote this version to serve it again",
        "fr": "le score a été retiré ; promouvoir cette version pour le servir à nouveau",
    },
    "not_yet": {
        "en": "nothing to tell them apart yet: what serves has learned from outcomes after {day};"
        " compare from {until} on",
        "fr": "rien ne les départage encore : celle qui sert a appris d’issues postérieures au"
        " {day} ; comparer à partir du {until}",
    },
    "too_few_since": {
        "en": "nothing to tell them apart yet: {positives} conversions among {rows} leads"
        " decided since what serves was learned, {needed} are needed",
        "fr": "rien ne les départage encore : {positives} conversions parmi {rows} leads"
        " jugés depuis que celle qui sert a appris, il en faut {needed}",
    },
    "too_few_ended_since": {
        "en": "nothing to tell them apart yet: {rows} terms ended since, with fewer than {needed}"
        " renewed or not renewed",
        "fr": "rien ne les départage encore : {rows} périodes terminées depuis, avec moins de"
        " {needed} renouvelées ou non renouvelées",
    },
    "held_when_tested": {
        "en": "learned from later days, and what it said of the test's days held",
        "fr": "apprise de jours plus récents, et ce qu’elle disait des jours du test tenait",
    },
    "groups_come_again": {
        "en": "{count} groups that come out again from other halves of the buyers ({stability})",
        "fr": "{count} groupes qui ressortent d’autres moitiés des acheteurs ({stability})",
    },
    "better": {
        "en": "better than {champion} on {day}: {measure} {change} on {rows} cases, noise {noise}",
        "fr": "meilleure que {champion} au {day} : {measure} {change} sur {rows} cas, bruit"
        " {noise}",
    },
    "no_better": {
        "en": "no better than {champion} on {day}: {measure} {change} on {rows} cases, noise"
        " {noise}",
        "fr": "pas meilleure que {champion} au {day} : {measure} {change} sur {rows} cas, bruit"
        " {noise}",
    },
    "same_method": {
        "en": "the method that serves ({method}), learned from newer orders",
        "fr": "la méthode qui sert ({method}), apprise de commandes plus récentes",
    },
    "same_method_worse": {
        "en": "the method that serves ({method}) did worse when learned from newer orders than"
        " {champion} on {day}: {measure} {change} on {rows} cases, noise {noise}",
        "fr": "la méthode qui sert ({method}) a fait moins bien, apprise de commandes plus"
        " récentes, que {champion} au {day} : {measure} {change} sur {rows} cas, bruit {noise}",
    },
    "stated": {"en": "{text}", "fr": "{text}"},
}

NAMES: dict[str, dict[str, str]] = {
    "brier": {"en": "Brier score", "fr": "score de Brier"},
    "orders_squared": {"en": "squared error of orders", "fr": "erreur quadratique de commandes"},
    "learned": {"en": "learned value score", "fr": "score de valeur appris"},
    "cell_means": {"en": "similar customers' means", "fr": "moyenne des clients semblables"},
    "last_year": {"en": "last year's orders", "fr": "commandes de l’an passé"},
    "boosted": {"en": "boosted trees", "fr": "arbres renforcés"},
}


@dataclass(frozen=True)
class Reason:
    """Why something was decided: a code of ``SENTENCES`` and the values of its sentence."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def sentence(self, language: str) -> str:
        """The reason in words, ``fr`` or ``en``; what is not in the catalogue reads as it is."""
        tongue = "fr" if language == "fr" else "en"
        pattern = SENTENCES.get(self.code)
        if pattern is None:
            return self.code
        told = {name: _told(name, value, tongue) for name, value in self.values.items()}
        return pattern[tongue].format(**told)


def _told(name: str, value: Any, tongue: str) -> str:
    if name in ("measure", "method"):
        return NAMES.get(str(value), {}).get(tongue, str(value))
    if isinstance(value, float):
        text = f"{value:+.5f}" if name == "change" else f"{value:.5f}"
        return text.replace(".", ",") if tongue == "fr" else text
    return str(value)


def gain_and_noise(
    off: FloatArray, rival_off: FloatArray, who: pl.Series | None = None
) -> tuple[float, float]:
    """Mean of what a rival was further off than one was, on the same rows, and its noise.

    ``who`` names the person of each row: what one person does on several days is one chance, not
    several.
    """
    gain = rival_off - off
    mean = float(gain.mean())
    rest = gain - mean
    if who is not None:
        rows = pl.DataFrame({"who": who, "rest": rest})
        rest = rows.group_by("who", maintain_order=True).sum()["rest"].to_numpy()
    if len(rest) < 2:
        return mean, float("inf")
    error = np.sqrt(np.square(rest).sum() * len(rest) / (len(rest) - 1)) / len(gain)
    return mean, NOISE * float(error)


def beats_rule(
    truth: BoolArray, score: FloatArray, rule: FloatArray, who: pl.Series | None = None
) -> tuple[bool, dict[str, float]]:
    """Whether learned probabilities deserve to serve instead of a simple rule's.

    They do when they rank no worse, their Brier score is no worse, and what they say beside the
    rule came true by more than its noise. Without anything to learn that is so once in fifty times.

    A rule is a learned score without most of its features: where these tell nothing, learning
    them only adds noise, and the Brier score is expected to be worse. So the noise is taken off
    before asking whether there is any gain (Clark and West 2007, nested forecasts); otherwise few
    rows never show one. A shift of the level alone is no gain.
    """
    brier_gain, brier_noise = gain_and_noise(np.square(score - truth), np.square(rule - truth), who)
    level = score - (score - rule).mean()
    own = np.square(level - truth) - np.square(level - rule)
    information, noise = gain_and_noise(own, np.square(rule - truth), who)
    ranks = 0 < truth.sum() < len(truth) and roc_auc_score(truth, score) >= roc_auc_score(
        truth, rule
    )
    told = {
        "brier_gain": rounded(brier_gain),
        "brier_gain_standard_error": rounded(brier_noise / NOISE),
        "information": rounded(information),
        "information_standard_error": rounded(noise / NOISE),
    }
    return bool(ranks and brier_gain > 0 and information > noise), told


def beside_the_rule(evaluation: Mapping[str, Any], language: str) -> list[str]:
    """The line of a card that says how sure it is that a score adds to its rule; none untested."""
    told = evaluation.get("difference") or {}
    if not told.get("information_standard_error"):
        return []
    reached = figure(told["information"] / told["information_standard_error"], language, 1)
    needed = figure(NOISE, language, 0)
    if language == "fr":
        return [f"- **Au-delà de la règle** : {reached} erreurs types ; il en faut {needed}."]
    return [f"- **Beyond the rule**: {reached} standard errors; {needed} are needed."]


def compared(
    gain: float, noise: float, *, version: str, day: str, measure: str, rows: int
) -> dict[str, Any]:
    """The values of a sentence about a contest with a version that serves."""
    return {
        "champion": version,
        "day": day,
        "measure": measure,
        "change": round(-gain, 9),
        "rows": rows,
        "noise": round(noise, 9),
    }


def contest(
    truth: BoolArray,
    challenge: FloatArray,
    champion: FloatArray,
    *,
    version: str,
    day: str,
) -> tuple[bool, Reason]:
    """Whether probabilities beat those of the version that serves, by the Brier score."""
    gain, noise = gain_and_noise(np.square(challenge - truth), np.square(champion - truth))
    values = compared(gain, noise, version=version, day=day, measure="brier", rows=len(truth))
    is_better = gain > noise
    return is_better, Reason("better" if is_better else "no_better", values)
