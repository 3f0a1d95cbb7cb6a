"""What a propensity asks, from one YAML file: will these customers do that within so many days?

    propensity: reorder
    name: {en: Will order again, fr: Va recommander}
    who:
      all: [{field: lifetime_orders_count, op: greater_or_equal, value: 1}]
    will:
      all: [{field: last_order_date, op: within_days, value: 90}]
    within_days: 90

``who`` and ``will`` are rules of the segment language: fields, behaviours (``did: ordered``), saved
segments. ``who`` is seen on the day of the score; ``will`` is seen ``within_days`` later.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, field_validator, model_validator

from cohorte.errors import NotFoundError, SettingsError
from cohorte.i18n import Language, language_of
from cohorte.said import said
from cohorte.segments import EVERYONE, Node, expand, leaves, rule_json
from cohorte.segments.rules import Rule
from cohorte.settings import Declared
from cohorte.yamlfile import check_file_name, read_yaml

__all__ = [
    "FOLDER",
    "Propensity",
    "find_propensity",
    "name_of_file",
    "read_propensities",
    "write_propensity",
]

FOLDER = "propensities"
PREFIX = "propensity_"


class Propensity(Declared):
    """One question about customers, and how far ahead it looks.

    ``leave_out`` names features not to use; ``keep`` names features to use though they look too
    good to be true.
    """

    propensity: str = Field(pattern=r"^[a-z][a-z0-9_]{0,50}$")
    name: dict[Language, str] = Field(min_length=1)
    description: dict[Language, str] = {}
    who: Rule = EVERYONE
    will: Rule
    within_days: int = Field(ge=1, le=731)
    leave_out: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @field_validator("name", "description", mode="before")
    @classmethod
    def _one_for_both(cls, value: Any) -> Any:
        return {"en": value, "fr": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _asks_something(self) -> Propensity:
        if not list(leaves(self.will)):
            raise ValueError(said("will must test something"))
        return self

    @property
    def estimator_name(self) -> str:
        """The name under which the registry keeps its versions."""
        return PREFIX + self.propensity

    def title(self, language: str) -> str:
        return self.name.get(language_of(language)) or next(iter(self.name.values()))

    def with_segments(self, segments: Mapping[str, Node]) -> Propensity:
        """The same question, with the rules of the saved segments that it names."""
        parts = {name: expand(getattr(self, name), segments) for name in ("who", "will")}
        return self.model_copy(update=parts)

    def question(self) -> dict[str, Any]:
        """What decides whether another fit answers the same question."""
        return {
            "who": rule_json(self.who),
            "will": rule_json(self.will),
            "within_days": self.within_days,
            "leave_out": sorted(self.leave_out),
            "keep": sorted(self.keep),
        }


def read_propensities(root: Path) -> list[Propensity]:
    """The propensities of a workspace, by name; SettingsError naming the file that is wrong."""
    found = []
    for path in sorted((root / FOLDER).glob("*.yml")):
        stated = read_yaml(path, Propensity)
        check_file_name(path, "propensity", stated.propensity)
        found.append(stated)
    return found


def find_propensity(root: Path, wanted: str) -> Propensity:
    """The propensity of that name, with or without the registry's prefix; else NotFoundError."""
    found = read_propensities(root)
    for propensity in found:
        if wanted in (propensity.propensity, propensity.estimator_name):
            return propensity
    names = ", ".join(one.propensity for one in found) or "none yet"
    raise NotFoundError(
        f'there is no score "{wanted}"', remedy=f"propensities in {FOLDER}/: {names}"
    )


def name_of_file(title: str) -> str:
    """What a propensity of that title is called in files and tables: plain letters and digits."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50].rstrip("_")
    return name if re.match("[a-z]", name) else f"score_{name}".rstrip("_")


def write_propensity(root: Path, propensity: Propensity) -> Path:
    """Write the file of a new propensity; SettingsError when there is one of its name."""
    path = root / FOLDER / f"{propensity.propensity}.yml"
    stated = propensity.model_dump(mode="json", exclude_defaults=True)
    stated |= {part: rule_json(getattr(propensity, part)) for part in ("who", "will")}
    text = yaml.safe_dump(stated, sort_keys=False, allow_unicode=True, default_flow_style=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsError(
            said('there is a score "{name}" already', name=propensity.propensity),
            remedy=said("give another name"),
        ) from None
    return path
