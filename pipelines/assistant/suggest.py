"""Which entity a file holds and how its columns map, told from headers, contents and what is known.

Every pair of a file's column and a contract's column gets a score: what the header says, what the
values look like, and, for ids, how many of them other sources know already. The best pairs that do
not contradict one another make the mapping; entities are compared by what their mapping covers.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

import yaml

from cohorte.contracts import Contract, ContractColumn, contract, contracts
from cohorte.yamlfile import PlainLoader
from pipelines.assistant.profiles import Profile
from pipelines.assistant.sample import Sample

MADE_OF = {"order_lines": ("orders", "contacts"), "orders": ("contacts",)}
EXPLODED = ("order_lines", "payments", "opportunity_stages", "consents", "email_events")
ANY_KEY = frozenset(
    {"id", "identifiant", "identifier", "no", "n", "numero", "code", "ref", "reference", "key"}
)
DOUBTFUL = 0.75
LEAST = 0.5
IDS = ("contact_id", "account_id", "product_id", "order_id", "lead_id", "opportunity_id",
       "campaign_id", "ticket_id", "loyalty_number")  # fmt: skip
FITTING = {
    "text": None,
    "integer": ("integer", "decimal"),
    "decimal": ("integer", "decimal"),
    "rate": ("integer", "decimal"),
    "boolean": ("boolean",),
    "timestamp": ("date", "timestamp"),
    "date": ("date", "timestamp"),
}
PATTERN_OF = {"email": "email", "phone": "phone", "legal_id": "siren", "salutation": "salutation",
              "currency_code": "currency"}  # fmt: skip


@dataclass(frozen=True)
class Match:
    """A contract's column filled from a file's column: how sure, and why in a word."""

    target: str
    column: str | None
    score: float
    why: str
    mapped: Any = None

    @property
    def is_doubtful(self) -> bool:
        return self.score < DOUBTFUL


@dataclass
class Suggestion:
    """One entity that a file may hold, its mapping, what it lacks, and how sure."""

    entity: str
    matches: dict[str, Match]
    missing: list[str] = field(default_factory=list)
    score: float = 0.0
    explode: str | None = None
    is_distinct: bool = False

    @property
    def is_whole(self) -> bool:
        return not self.missing


@cache
def vocabulary() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("vocabulary.yml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=PlainLoader))  # noqa: S506


def folded(text: str) -> str:
    """Lower case words without accents: ``N° de Téléphone`` is ``n de telephone``."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text.replace("°", " "))
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+", plain.lower()))


def suggest(
    sample: Sample,
    profiles: Mapping[str, Profile],
    known: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Suggestion]:
    """Entities that the file may hold, the likeliest first, each by itself.

    ``known`` gives, for a column, the share of its values that an id of the company has already.
    """
    found: list[Suggestion] = []
    for entity in contracts():
        found.append(_of_entity(entity, sample.columns, profiles, known or {}, sample.title))
    for place, names in sample.lists.items():
        for entity in EXPLODED:
            title = place.rpartition(".")[2]
            one = _of_entity(entity, names, profiles, known or {}, title)
            if len(_telling(one)) >= 2:
                one.explode = place
                found.append(one)
    found.sort(key=lambda one: (one.is_whole, one.score), reverse=True)
    return found


def suggest_together(
    sample: Sample,
    profiles: Mapping[str, Profile],
    known: Mapping[str, Mapping[str, float]] | None = None,
    entity: str | None = None,
) -> list[Suggestion]:
    """The entity that the rows are, or the one asked for, and those that can be made of its rows.

    Lines of orders hold orders too, and often their buyers. Empty when nothing suffices.
    """
    found = suggest(sample, profiles, known)
    plain = [one for one in found if one.explode is None and one.is_whole and _telling(one)]
    first = next((one for one in plain if entity in (None, one.entity)), None)
    together = [first] if first is not None else []
    for name in MADE_OF.get(first.entity, ()) if first is not None else ():
        other = next((one for one in plain if one.entity == name), None)
        if other is not None:
            other = _constant_within(other, sample, profiles, known or {})
        if other is not None and other.is_whole and _tells_enough(other):
            other.is_distinct = True
            together.append(other)
    for place in sample.lists:
        if first is None:
            break
        inside = [_with_parent(one, first) for one in found if one.explode == place]
        inner = next((one for one in inside if one.is_whole), None)
        if inner is not None and inner.entity not in {one.entity for one in together}:
            together.append(inner)
    return together


def best_target(
    entities: Sequence[str], column: str, profiles: Mapping[str, Profile], taken: set[str]
) -> str | None:
    """The contract's column, with its entity, that one column of a file fits best, if any does."""
    best: tuple[float, str] | None = None
    for entity in entities:
        for target in contract(entity).columns:
            score = (
                0.0
                if target.name in taken
                else _score(entity, target, column, profiles[column], {})[0]
            )
            if score >= LEAST and (best is None or score > best[0]):
                best = (score, f"{entity}.{target.name}")
    return best[1] if best else None


def _telling(one: Suggestion) -> list[str]:
    """The columns of an entity that tell it and that the file has."""
    telling = vocabulary()["entities"][one.entity]["telling"]
    return [name for name in telling if name in one.matches and one.matches[name].column]


def _with_parent(one: Suggestion, parent: Suggestion) -> Suggestion:
    """What lies in a list takes the key that it lacks from the record that holds the list."""
    taken = {name: parent.matches[name] for name in one.missing if name in parent.matches}
    missing = [name for name in one.missing if name not in taken]
    return replace(one, matches=one.matches | taken, missing=missing)


def _constant_within(
    one: Suggestion,
    sample: Sample,
    profiles: Mapping[str, Profile],
    known: Mapping[str, Mapping[str, float]],
) -> Suggestion | None:
    """An entity made of others' rows, of columns that are the same in all rows of one record."""
    key = one.matches.get(contract(one.entity).key[0])
    if key is None or key.column is None:
        return None
    keys = sample.values(key.column)
    steady = []
    for column in sample.columns:
        seen: dict[str | None, str | None] = {}
        pairs = zip(keys, sample.values(column), strict=True)
        if all(seen.setdefault(record, value) == value for record, value in pairs):
            steady.append(column)
    if key.column not in steady:
        return None
    return _of_entity(one.entity, steady, profiles, known, sample.title)


def _tells_enough(one: Suggestion) -> bool:
    """Whether an entity made of others' rows has more than its key."""
    wanted = {"contacts": ("email", "phone", "last_name", "full_name")}
    telling = wanted.get(one.entity, tuple(vocabulary()["entities"][one.entity]["telling"]))
    return any(name in one.matches and one.matches[name].score >= DOUBTFUL for name in telling)


def _of_entity(
    entity: str,
    columns: Sequence[str],
    profiles: Mapping[str, Profile],
    known: Mapping[str, Mapping[str, float]],
    file_name: str,
) -> Suggestion:
    known_contract = contract(entity)
    words = vocabulary()["entities"][entity]
    pairs = []
    for target in known_contract.columns:
        for column in columns:
            score, why = _score(entity, target, column, profiles[column], known.get(column, {}))
            if score >= LEAST:
                pairs.append((score, target.name, column, why))
    pairs.sort(key=lambda pair: (-pair[0], known_contract.column_names.index(pair[1])))
    matches: dict[str, Match] = {}
    taken: set[str] = set()
    for score, target_name, column, why in pairs:
        if target_name in matches or column in taken:
            continue
        matches[target_name] = Match(target_name, column, round(score, 2), why)
        taken.add(column)
    _complete(entity, known_contract, matches, profiles, columns)
    missing = [name for name in known_contract.required if name not in matches]
    telling = [name for name in words["telling"] if name in matches]
    share = sum(match.score for match in matches.values() if match.column) / max(1, len(columns))
    named = _is_named(file_name, words["words"])
    headed = any(_is_named(column, words["words"]) for column in columns)
    score = (
        share
        + 0.12 * sum(matches[name].score for name in telling)
        + (0.5 if named else 0.0)
        + (0.1 if headed else 0.0)
        - 0.5 * len(missing)
    )
    key = known_contract.key[:1]
    if key and key[0] in matches and matches[key[0]].column is not None:
        own = profiles[matches[key[0]].column or ""]
        if len(known_contract.key) == 1:
            score += 0.25 if own.is_unique else -0.3
            score -= 0.6 if own.distinct < 0.9 * own.rows * own.filled else 0.0
    return Suggestion(entity, matches, missing, round(score, 3))


def _is_named(name: str, words: Sequence[str]) -> bool:
    text = f" {re.sub(r'[0-9]+', ' ', folded(name))} "
    return any(f" {word} " in re.sub(r" +", " ", text) for word in words)


def _score(
    entity: str,
    target: ContractColumn,
    column: str,
    profile: Profile,
    known: Mapping[str, float],
) -> tuple[float, str]:
    """How well a file's column fills a contract's column, and what says so."""
    if profile.kind == "empty":
        return 0.0, ""
    if target.type == "text" and profile.kind in ("date", "timestamp"):
        return 0.0, ""
    fitting = FITTING[target.type]
    if fitting is not None and profile.kind not in fitting:
        is_flag = target.type == "boolean" and 0 < profile.distinct <= 2
        if not is_flag:
            return 0.0, ""
    words = vocabulary()
    names = [
        *words["names"].get(target.name, ()),
        *words["entities"][entity]["also"].get(target.name, ()),
    ]
    header = folded(_last_part(column))
    name = _name_score(header, [folded(target.name), *names])
    if contract(entity).key == (target.name,) and header in ANY_KEY:
        name = max(name, 0.8)
    if column.startswith(("$", "@")):
        bare = folded(_last_part(column, 1))
        name = max(name, 0.9 * _name_score(bare, [folded(target.name), *names]))
    wanted = PATTERN_OF.get(target.name)
    if wanted is not None:
        if profile.pattern == wanted:
            return max(name, 0.9 if wanted in ("email", "phone") else 0.7), (
                "name and contents" if name else "contents"
            )
        if name and wanted in ("email", "currency"):
            return min(name, 0.6), "name"
    if target.name == "postcode" and profile.pattern not in ("postcode", "siren", None):
        return 0.0, ""
    if (
        target.type == "text"
        and target.name in ("first_name", "last_name", "full_name", "city")
        and (profile.kind != "text" or profile.pattern in ("email", "phone", "postcode"))
    ):
        return 0.0, ""
    overlap = known.get(target.name, 0.0)
    if target.name in IDS and overlap >= 0.5:
        return max(name, 0.6 + 0.4 * overlap), "known values"
    return name, "name"


def _last_part(column: str, words: int = 2) -> str:
    """A column's own name; of a path its last two words."""
    if not column.startswith(("$", "@")):
        return column
    parts = [
        part.strip('"') for part in re.split(r"\.(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", column)[1:]
    ]
    return " ".join(parts[-words:])


def _name_score(name: str, names: Sequence[str]) -> float:
    """How near a header is to the names of a column: same, holds it, or nearly the same."""
    if not name:
        return 0.0
    if name in names:
        place = names.index(name)
        return 1.0 if place < 12 else 0.92
    last = name.split(" ", 1)[-1]
    if len(last) > 3 and last != name and last in names:
        return 0.85
    words = set(name.split())
    best = 0.0
    for other in names:
        parts = set(other.split())
        if parts <= words and (len(parts) > 1 or len(other) > 4):
            best = max(best, 0.62 + 0.2 * len(parts) / len(words))
        elif len(other) > 4 and abs(len(other) - len(name)) < 4:
            near = difflib.SequenceMatcher(None, name, other).ratio()
            if near > 0.86:
                best = max(best, 0.6 * near + 0.15)
    return best


def _complete(
    entity: str,
    known: Contract,
    matches: dict[str, Match],
    profiles: Mapping[str, Profile],
    columns: Sequence[str],
) -> None:
    """Fill what is required and absent, by a constant or an e-mail; set values and formats."""
    if entity == "contacts" and "contact_id" not in matches:
        for name in ("loyalty_number", "email", "phone"):
            if name in matches:
                matches["contact_id"] = Match(
                    "contact_id",
                    matches[name].column,
                    0.6,
                    "each person by it",
                    {"column": matches[name].column}
                    | ({"transform": "lower"} if name == "email" else {}),
                )
                break
    _join_names(known, matches, columns)
    _id_by_email(known, matches, profiles, columns)
    for name, value in vocabulary()["constants"].get(entity, {}).items():
        if name not in matches:
            matches[name] = Match(name, None, LEAST, "constant", {"constant": value})
    taken = {match.column for match in matches.values()}
    moments = [
        column
        for column in columns
        if column not in taken and profiles[column].kind in ("date", "timestamp")
    ]
    lacking = [
        name
        for name in known.required
        if name not in matches and known.column(name).type in ("timestamp", "date")
    ]
    every = [column for column in columns if profiles[column].kind in ("date", "timestamp")]
    if not moments and len(every) == 1 and len(lacking) == 1:
        matches.pop(next(name for name, match in matches.items() if match.column == every[0]))
        moments = every
    if len(moments) == 1 and len(lacking) == 1:
        matches[lacking[0]] = Match(lacking[0], moments[0], LEAST, "the only date")
    if entity == "surveys" and "score" in matches and "kind" not in matches:
        values = [v for v in profiles[matches["score"].column or ""].common if v.isdigit()]
        if values:
            kind = "nps" if max(map(int, values)) > 5 else "csat"
            matches["kind"] = Match("kind", None, 0.8, "range of the score", {"constant": kind})
    for name, match in list(matches.items()):
        if match.column is None or match.mapped is not None:
            continue
        mapped = _mapped(entity, known.column(name), match.column, profiles[match.column])
        if mapped != match.column:
            matches[name] = Match(name, match.column, match.score, match.why, mapped)


def _join_names(known: Contract, matches: dict[str, Match], columns: Sequence[str]) -> None:
    """A whole name of first and last ones, where the contract has no place for the parts."""
    if "full_name" not in known.column_names or "first_name" in known.column_names:
        return
    parts = []
    for part in ("first_name", "last_name"):
        names = vocabulary()["names"][part]
        parts += [c for c in columns if folded(_last_part(c, 1)) in names][:1]
    if len(parts) == 2:
        matches["full_name"] = Match("full_name", parts[0], 0.9, "both names", {"columns": parts})


def _id_by_email(
    known: Contract,
    matches: dict[str, Match],
    profiles: Mapping[str, Profile],
    columns: Sequence[str],
) -> None:
    """A person named by the e-mail address alone is that contact."""
    if "contact_id" not in known.column_names or {"contact_id", "email"} & set(matches):
        return
    taken = {match.column for match in matches.values()}
    for column in columns:
        if column not in taken and profiles[column].pattern == "email":
            mapped = {"column": column, "transform": "lower"}
            matches["contact_id"] = Match("contact_id", column, 0.6, "e-mail", mapped)
            return


def chosen_match(entity: str, target: str, column: str, profile: Profile) -> Match:
    """A column that a person chose, with the formats that its values ask for."""
    mapped = _mapped(entity, contract(entity).column(target), column, profile)
    return Match(target, column, 1.0, "chosen", None if mapped == column else mapped)


def _mapped(entity: str, target: ContractColumn, column: str, profile: Profile) -> Any:
    """How the column is written in the YAML: short where nothing is to be said."""
    if target.name == "contact_id" and profile.pattern == "email":
        return {"column": column, "transform": "lower"}
    if target.type in ("date", "timestamp") and profile.formats:
        return {"column": column, "formats": list(profile.formats)}
    if target.type in ("integer", "decimal") and profile.kind == "integer":
        return column
    if entity == "orders" and target.name == "status" and profile.common:
        values = {}
        for value in profile.common:
            for ours, theirs in vocabulary()["statuses"].items():
                if folded(value) in theirs and value != ours:
                    values[value] = ours
        if values:
            return {"column": column, "values": values}
    return column
