"""A rule while it is being edited: rows and groups on screen, turned into a rule and back.

The builder edits a group of clauses and of groups of clauses. A rule that is nested deeper, or
says something the builder has no row for, is shown as a sentence and not edited.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as made
from datetime import date
from typing import Any, Literal

import streamlit as st

from cohorte.i18n import N_
from cohorte.segments import AllOf, AnyOf, Clause, Node, NoneOf, ProfileField, parse_rule, rule_json

Mode = Literal["all", "any", "none"]
KEY = "segment_draft"

MODES: dict[Mode, str] = {
    "all": N_("all of these"),
    "any": N_("at least one of these"),
    "none": N_("none of these"),
}

TESTS: dict[str, dict[str, str]] = {
    "text": {
        "in": N_("is one of"),
        "not_in": N_("is none of"),
        "contains": N_("contains"),
        "starts_with": N_("starts with"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
    "list": {
        "in": N_("includes one of"),
        "not_in": N_("includes none of"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
    "number": {
        "greater_or_equal": N_("is at least"),
        "less_or_equal": N_("is at most"),
        "greater": N_("is above"),
        "less": N_("is below"),
        "between": N_("is between"),
        "equals": N_("equals"),
        "not_equals": N_("does not equal"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
    "boolean": {
        "true": N_("is true"),
        "false": N_("is false"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
    "date": {
        "within_days": N_("is within the last (days)"),
        "more_than_days_ago": N_("is further back than (days)"),
        "greater_or_equal": N_("is on or after"),
        "less_or_equal": N_("is on or before"),
        "between": N_("is between"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
}

NO_VALUE = ("is_known", "is_unknown", "true", "false")
_numbers = itertools.count(1)


def tests_of(tested: ProfileField) -> dict[str, str]:
    """The tests that the builder offers for a field, by key, with their names."""
    kind = {"integer": "number", "timestamp": "date"}.get(tested.type, tested.type)
    return TESTS[kind]


@dataclass
class Line:
    """A clause in the making; `value` is None until it is given."""

    field: str
    test: str
    value: Any = None
    unknown: bool = False
    uid: int = made(default_factory=lambda: next(_numbers))


@dataclass
class Group:
    """Lines, and at the top groups of lines, joined by a mode."""

    mode: Mode = "all"
    items: list[Line | Group] = made(default_factory=list)
    uid: int = made(default_factory=lambda: next(_numbers))

    def lines(self) -> Iterator[Line]:
        for item in self.items:
            if isinstance(item, Group):
                yield from item.lines()
            else:
                yield item


@dataclass
class Draft:
    """A segment on the workbench. `segment_id` is None for one not saved yet."""

    name: str
    description: str
    rule: Group
    segment_id: str | None = None
    rule_version: int | None = None
    saved: str = ""
    uid: int = made(default_factory=lambda: next(_numbers))


def open_draft(
    name: str,
    rule: dict[str, Any],
    *,
    description: str = "",
    segment_id: str | None = None,
    rule_version: int | None = None,
) -> Draft | None:
    """Put a rule on the workbench of this session; None when the builder cannot edit it."""
    group = to_group(parse_rule(rule))
    if group is None:
        return None
    draft = Draft(name, description, group, segment_id, rule_version)
    st.session_state[KEY] = draft
    return draft


def current_draft() -> Draft | None:
    """What is on the workbench of this session."""
    found = st.session_state.get(KEY)
    return found if isinstance(found, Draft) else None


def close_draft() -> None:
    """Clear the workbench."""
    st.session_state.pop(KEY, None)


def to_group(rule: Node) -> Group | None:
    """The rule as rows and groups; None when it is nested deeper than the builder shows."""
    if isinstance(rule, Clause):
        line = _to_line(rule)
        return None if line is None else Group("all", [line])
    top = Group(_mode(rule))
    for part in _parts(rule):
        item = _to_line(part) if isinstance(part, Clause) else _to_inner(part)
        if item is None:
            return None
        top.items.append(item)
    return top


def _to_inner(rule: AllOf | AnyOf | NoneOf) -> Group | None:
    inner = Group(_mode(rule))
    for part in _parts(rule):
        line = _to_line(part) if isinstance(part, Clause) else None
        if line is None:
            return None
        inner.items.append(line)
    return inner


def _mode(rule: AllOf | AnyOf | NoneOf) -> Mode:
    return "all" if isinstance(rule, AllOf) else "any" if isinstance(rule, AnyOf) else "none"


def _parts(rule: AllOf | AnyOf | NoneOf) -> list[Any]:
    return list(getattr(rule, _mode(rule)))


def _to_line(clause: Clause) -> Line | None:
    value, test = clause.value, str(clause.op)
    if isinstance(value, bool):
        if test not in ("equals", "not_equals"):
            return None
        return Line(clause.field, str(value is (test == "equals")).lower(), None, clause.unknown)
    if isinstance(value, str) and test in ("equals", "not_equals"):
        day = _day(value)
        if day is not None:
            return None
        return Line(clause.field, "in" if test == "equals" else "not_in", [value], clause.unknown)
    if isinstance(value, str) and (day := _day(value)) is not None:
        return Line(clause.field, test, day, clause.unknown)
    if isinstance(value, list) and test == "between":
        days = [_day(v) if isinstance(v, str) else v for v in value]
        return None if None in days else Line(clause.field, test, days, clause.unknown)
    if isinstance(value, list) and not all(isinstance(v, str) for v in value):
        return None
    return Line(clause.field, test, value, clause.unknown)


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value) if len(value) == 10 else None
    except ValueError:
        return None


def to_rule(group: Group) -> dict[str, Any]:
    """The rule of what is complete in a draft, as JSON; lines without a value are left out."""
    parts = []
    for item in group.items:
        if isinstance(item, Group):
            inner = to_rule(item)
            if inner[item.mode]:
                parts.append(inner)
        elif (clause := to_clause(item)) is not None:
            parts.append(clause)
    return {group.mode: parts}


def to_clause(line: Line) -> dict[str, Any] | None:
    """A line as the JSON of a clause; None while its value is missing."""
    clause: dict[str, Any] = {"field": line.field, "op": line.test}
    if line.test in ("true", "false"):
        clause |= {"op": "equals", "value": line.test == "true"}
    elif line.test not in NO_VALUE:
        value = line.value
        if value is None or value in ("", []):
            return None
        if line.test == "between":
            if len(value) != 2 or None in value:
                return None
            value = sorted(value)
        clause["value"] = _plain(value)
    if line.unknown and line.test not in ("is_known", "is_unknown"):
        clause["unknown"] = True
    return clause


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def normal(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule's JSON as the store keeps it."""
    return rule_json(parse_rule(rule))


def incomplete(group: Group) -> int:
    """How many lines still lack a value."""
    return sum(1 for line in group.lines() if to_clause(line) is None)
