"""What the link model learned, drawn: its weights, one pair's, whom nothing tells, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cohorte.errors import CohorteError
from cohorte.i18n import N_
from cohorte.store import IdentityKind
from dashboards import charts, queries
from dashboards.charts import Line, Plot, Span
from dashboards.identities import IN_WORDS, evidence
from dashboards.language import Words
from dashboards.queries import Cursor, Row, published
from dashboards.theme import Tokens
from models.identity.artifact import ACCOUNTS, LinkModel, load_model

LEVELS = {
    "same first name": N_("same first name"),
    "first and last name swapped": N_("first and last name swapped"),
    "short form": N_("short form"),
    "initial or part of it": N_("initial or part of it"),
    "one typing error": N_("one typing error"),
    "alike": N_("alike"),
    "different": N_("different"),
    "same last name": N_("same last name"),
    "part of a double name": N_("part of a double name"),
    "same birth date": N_("same birth date"),
    "one digit or two swapped": N_("one digit or two swapped"),
    "two digits": N_("two digits"),
    "within a year": N_("within a year"),
    "same e-mail": N_("same e-mail"),
    "same mailbox, other domain": N_("same mailbox, other domain"),
    "several typing errors": N_("several typing errors"),
    "same phone": N_("same phone"),
    "one digit": N_("one digit"),
    "same postcode": N_("same postcode"),
    "same start of the postcode": N_("same start of the postcode"),
    "same area": N_("same area"),
    "same address": N_("same address"),
    "same city": N_("same city"),
    "same occupation": N_("same occupation"),
    "same name": N_("same name"),
    "one within the other": N_("one within the other"),
    "same domain": N_("same domain"),
    "same site, other ending": N_("same site, other ending"),
}


@dataclass(frozen=True)
class Level:
    """One way in which two records agree, and what it is worth."""

    comparison: str
    label: str
    weight: float
    among_same: float
    among_others: float


def trained(kind: IdentityKind) -> LinkModel | None:
    """The workspace's link model of people or organisations; None when there is none that reads."""
    folder = queries.workspace().artifacts_dir / "identity"
    try:
        return load_model(folder if kind == "person" else folder / ACCOUNTS)
    except CohorteError:
        return None


def levels(model: LinkModel) -> list[Level]:
    """The weights of the model, comparison by comparison, the most telling level first."""
    found = [
        Level(
            str(value["comparison_name"]),
            str(value["label_for_charts"]),
            float(value["log2_bayes_factor"]),
            float(value["m_probability"]),
            float(value["u_probability"]),
        )
        for value in model.charts["match_weights"]["data"]["values"]
        if value["m_probability"] is not None and value["log2_bayes_factor"] is not None
    ]
    return sorted(found, key=lambda level: (level.comparison, -level.weight))


def weights(model: LinkModel, of_one: str, words: Words, tokens: Tokens) -> Plot:
    """What each way to agree speaks for or against, in powers of two of the odds.

    ``of_one`` heads what is found among pairs that are one.
    """
    _ = words
    held = levels(model)
    spans = [
        Span(
            _(
                "{what}: {how}",
                what=_(IN_WORDS.get(level.comparison, level.comparison)),
                how=_(LEVELS.get(level.label, level.label)),
            ),
            0.0,
            level.weight,
            (_.percent(level.among_same, 1), _.percent(level.among_others, 1)),
        )
        for level in held
    ]
    head = [_("What agrees"), _("Weight"), of_one, _("Among others")]
    return charts.spans(spans, head, lambda value: in_figures(value, _), tokens)


def in_figures(weight: float, _: Words) -> str:
    return _.number(weight, 0 if weight == round(weight) else 1)


def waterfall(row: Row, words: Words, tokens: Tokens) -> Plot:
    """How the weight of one pair is made up, from where every pair starts to its sum."""
    _ = words
    parts = sorted(evidence(row), key=lambda part: -part[1])
    at = float(row["match_weight"]) - sum(weight for _name, weight in parts)
    spans = [Span(_("where every pair starts"), 0.0, at)]
    for name, weight in parts:
        spans.append(Span(_(IN_WORDS.get(name, name)), at, at + weight))
        at += weight
    spans.append(Span(_("the pair's weight"), 0.0, at, is_sum=True))
    head = [_("What was compared"), _("Weight")]
    return charts.spans(spans, head, lambda value: in_figures(value, _), tokens)


def unlinkable(model: LinkModel, weight: float) -> float:
    """Share of records that would not reach a weight if they were met a second time."""
    held = model.charts["unlinkables"]["data"]["values"]
    return max((float(v["cum_prop"]) for v in held if v["match_weight"] < weight), default=0.0)


def unlinkables(model: LinkModel, words: Words, tokens: Tokens) -> Plot:
    """Records that too little is known of to be found again, by the weight asked for."""
    _ = words
    steps = [*range(-4, 22, 2)]
    line = Line(
        _("Records that cannot be found again"),
        [unlinkable(model, step) for step in steps],
        charts.SERIES_COLOURS[0],
    )
    return charts.course(
        [_.number(step) for step in steps],
        [_("weight {weight}", weight=_.number(step)) for step in steps],
        [line],
        lambda value, short: _.percent(value, 0 if short else 2),
        _,
        tokens,
    )


@published
def thresholds(cursor: Cursor, steps: tuple[float, ...]) -> list[Row]:
    """Pairs at or above each weight, and how many of them the model takes for two people."""
    return cursor.rows(
        """
        select step, count(weight) as pairs, coalesce(sum(1 - match_probability), 0) as wrong
        from unnest(?::double[]) as steps (step)
        left join (
            select match_weight as weight, match_probability from identity_links
            where status in ('joined', 'review') and match_weight is not null
        ) as weighed on weight >= step
        group by step order by step
        """,
        [list(steps)],
    )


def threshold_curve(rows: Sequence[Row], words: Words, tokens: Tokens) -> Plot:
    """Of the pairs that a threshold would join, the share that the model takes for one person."""
    _ = words
    line = Line(
        _("One person, the model says"),
        [1 - row["wrong"] / row["pairs"] if row["pairs"] else None for row in rows],
        charts.SERIES_COLOURS[2],
    )
    drawn = charts.course(
        [_.number(row["step"]) for row in rows],
        [_("weight {weight}", weight=_.number(row["step"])) for row in rows],
        [line],
        lambda value, short: _.percent(value, 0 if short else 2),
        _,
        tokens,
    )
    head = [_("Threshold"), *drawn.head[1:], _("Pairs"), _("Two people among them")]
    table = [
        [*said, _.number(row["pairs"]), _.number(row["wrong"], 1)]
        for said, row in zip(drawn.rows, rows, strict=True)
    ]
    return Plot(drawn.spec, head, table)
