"""The rule score of a lead: points stated by the company, beside what is learned.

The workspace's ``lead_rules.yml`` gives points to what a lead is (``fit``) and to what it did
(``behaviour``), by conditions of the segment language over what is known when a lead comes in:

    points_to_double_odds: 20
    rate_without_points: 0.08
    fit:
      - name: {en: 50 employees or more, fr: 50 salariés ou plus}
        when: {field: employees_count, op: greater_or_equal, value: 50}
        points: 15
    behaviour:
      - name: {en: Three visits or more, fr: Trois visites ou plus}
        when: {field: web_visits_90d_before, op: greater_or_equal, value: 3}
        points: 10

Points are log-odds on a scale that people can set by hand: so many of them double the odds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field, PrivateAttr, field_validator, model_validator
from sqlglot import exp

from cohorte.errors import SettingsError
from cohorte.i18n import Language, language_of
from cohorte.said import said
from cohorte.segments import AllOf, AnyOf, Clause, NoneOf, build_catalogue, rule_json
from cohorte.segments.compile import ALIAS as TESTED
from cohorte.segments.compile import Compiler
from cohorte.segments.rules import Rule, leaves
from cohorte.settings import Declared
from cohorte.yamlfile import line_of, read_yaml
from models.encoding import EncodedFeature, FeatureEncoder

__all__ = ["FILE", "TESTED", "LeadRules", "PointRule", "met_columns", "read_lead_rules"]

FILE = "lead_rules.yml"
COLUMN = "_rule_"

Part = Literal["fit", "behaviour"]


class PointRule(Declared):
    """Points for the leads that meet a condition; fewer than none for those it counts against."""

    name: dict[Language, str] = Field(min_length=1)
    when: Rule
    points: int = Field(ge=-100, le=100)

    @field_validator("name", mode="before")
    @classmethod
    def _one_for_both(cls, value: Any) -> Any:
        return {"en": value, "fr": value} if isinstance(value, str) else value

    @field_validator("when")
    @classmethod
    def _of_the_lead(cls, value: Any) -> Any:
        for leaf in leaves(value):
            if not isinstance(leaf, Clause):
                raise ValueError(
                    said("only tests of a lead's own fields count, alone or in groups")
                )
        if not isinstance(value, Clause | AllOf | AnyOf | NoneOf):
            raise ValueError(said("state a test of a field, or a group of them"))
        return value

    def title(self, language: str) -> str:
        return self.name.get(language_of(language)) or next(iter(self.name.values()))


class LeadRules(Declared):
    """The points of a workspace, and how they become a probability.

    ``points_to_double_odds`` is the scale. ``rate_without_points`` is the share of leads without
    any points that one expects to convert; it weighs as much as 20 leads, so that what comes
    corrects it.
    """

    points_to_double_odds: float = Field(default=20, gt=0, le=1000)
    rate_without_points: float = Field(default=0.1, gt=0, lt=1)
    fit: tuple[PointRule, ...] = ()
    behaviour: tuple[PointRule, ...] = ()
    _path: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _says_something(self) -> LeadRules:
        if not self.fit and not self.behaviour:
            raise ValueError(said("state at least one rule under fit or behaviour"))
        return self

    def stated(self, part: Part | None = None) -> Iterator[tuple[str, PointRule]]:
        """Each rule with the column that says who meets it, of one part or of both."""
        for name, rules in (("fit", self.fit), ("behaviour", self.behaviour)):
            for number, rule in enumerate(rules if part in (None, name) else (), 1):
                yield f"{name}{COLUMN}{number}", rule

    def tested(self, leads: pl.DataFrame) -> FeatureEncoder:
        """The fields that rules test, as far as the leads have them, and the values they name."""
        values: dict[str, list[str]] = {}
        for _, rule in self.stated():
            for leaf in leaves(rule.when):
                if isinstance(leaf, Clause) and leaf.field in leads.columns:
                    stated = leaf.value if isinstance(leaf.value, list) else (leaf.value,)
                    named = [str(one) for one in stated if one is not None]
                    values.setdefault(leaf.field, []).extend(named)
        return FeatureEncoder(
            tuple(
                EncodedFeature(field, "category", tuple(dict.fromkeys(named)))
                if leads.schema[field] == pl.String
                else EncodedFeature(field, "number")
                for field, named in values.items()
            )
        )

    def where(self, column: str) -> str:
        """The file, line and key of a rule."""
        part, number = column.split(COLUMN)
        at = (part, int(number) - 1, "when")
        line = f" line {line_of(self._path, at)}" if self._path else ""
        return f"{self._path or FILE}{line} key {'.'.join(str(key) for key in at)}"

    def as_json(self) -> dict[str, Any]:
        """What decides a score, and the names to tell it by."""
        return {
            "points_to_double_odds": self.points_to_double_odds,
            "rate_without_points": self.rate_without_points,
            "rules": {
                column: {
                    "name": {str(code): text for code, text in rule.name.items()},
                    "when": rule_json(rule.when),
                    "points": rule.points,
                }
                for column, rule in self.stated()
            },
        }


def read_lead_rules(root: Path) -> LeadRules | None:
    """The rules of a workspace, or None without any.

    Raises SettingsError naming file, line, key and remedy when the file does not read.
    """
    path = root / FILE
    if not path.is_file():
        return None
    rules = read_yaml(path, LeadRules)
    rules._path = path
    return rules


def met_columns(
    rules: LeadRules,
    readable: Mapping[str, str],
    refused: Mapping[str, str],
    as_of: date,
    time_zone: str,
) -> tuple[list[str], dict[str, Any]]:
    """Per rule, an expression that is 1 where a lead meets it, else 0; and the values bound.

    The rows tested go by the name ``TESTED``. ``readable`` has the DuckDB types of the columns
    that a rule may test, ``refused`` says why others may not.

    Raises
    ------
    SettingsError
        When a rule tests a column that is refused or is not there, or tests it in a way that its
        type does not allow; it names the file, the line and the key.
    """
    catalogue = build_catalogue(readable, time_zone=time_zone)
    compiler = Compiler(catalogue, as_of)
    found = []
    for column, rule in rules.stated():
        for leaf in leaves(rule.when):
            field = leaf.field if isinstance(leaf, Clause) else ""
            if field in refused:
                raise SettingsError(
                    said('"{field}" gives no points: {why}', field=field, why=refused[field]),
                    where=rules.where(column),
                    remedy=said("test only what is known when a lead comes in"),
                )
            if field not in catalogue.fields:
                raise SettingsError(
                    said('"{field}" is not known of leads when they come in', field=field),
                    where=rules.where(column),
                    remedy=said("use one of {names}", names=", ".join(catalogue.fields)),
                )
        try:
            met = compiler.condition(rule.when)
        except SettingsError as error:
            raise SettingsError(
                error.message, where=rules.where(column), remedy=error.remedy
            ) from None
        told = exp.Cast(this=exp.paren(met), to=exp.DataType.build("double"))
        found.append(f"{told.sql(dialect='duckdb')} as {column}")
    return found, compiler.binder.parameters
