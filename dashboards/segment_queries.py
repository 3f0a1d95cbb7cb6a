"""What the screens of segments ask: sizes, reasons, splits, overlaps, of the pinned version.

Rules are passed as JSON that says everything itself (`plain`), so that an answer kept under it
stays right when a segment that it referred to is changed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

from cohorte.errors import CohorteError, SettingsError
from cohorte.segments import (
    Audience,
    Breakdown,
    Catalogue,
    Channel,
    Difference,
    Node,
    Overlap,
    Population,
    Reason,
    Segment,
    SizePoint,
    Tally,
    activity_values,
    all_segments,
    audience,
    breakdown,
    changes_since,
    count,
    differences,
    expand,
    impact,
    members,
    members_on,
    overlap,
    parse_rule,
    population_on,
    rule_json,
    size_history,
    smallest_change,
    tally,
    value_counts,
    why,
)
from cohorte.segments.library import stored_segment, with_library
from cohorte.segments.watch import StoppedError
from cohorte.segments.why import Change
from dashboards import queries
from dashboards.patience import stoppable
from dashboards.queries import Cursor, Row, published

VALUES = 200
"""How many values a list of choices shows; a search finds the others."""


def library() -> tuple[list[Segment], str]:
    """Every segment that reads, and what is wrong with the files when one does not."""
    store, space = queries.store(), queries.workspace()
    try:
        return all_segments(space, store), ""
    except SettingsError as error:
        return [stored_segment(row) for row in store.list_segments()], error.said


def catalogue(segments: list[Segment]) -> Catalogue:
    """The pinned version's catalogue, with the names of these segments."""
    names = {segment.segment_id: segment.names for segment in segments}
    return replace(queries.catalogue(), segment_names=names)


def population(segments: list[Segment]) -> Population:
    """The customers of the pinned version, who know these segments."""
    return with_library(queries.population(), segments)


def plain(rule: Node, segments: list[Segment]) -> str:
    """The rule as JSON that says everything itself; SettingsError when it cannot."""
    rules = {segment.segment_id: segment.rule for segment in segments}
    return text_of(expand(rule, rules))


def text_of(rule: Node) -> str:
    return json.dumps(rule_json(rule), sort_keys=True, ensure_ascii=False)


def _rule(text: str) -> Node:
    return parse_rule(json.loads(text))


def sizes_of(rules: dict[str, str]) -> dict[str, int]:
    """Sizes of plain rules by name; those that do not fit the version are left out."""
    return _sizes(tuple(rules.items()))


rule_reach = stoppable(queries.rule_reach)
rule_sample = stoppable(queries.rule_sample)


@stoppable
def _sizes(rules: tuple[tuple[str, str], ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, rule in rules:
        try:
            found |= queries.rule_sizes(((name, rule),))
        except StoppedError:
            raise
        except CohorteError:
            continue
    return found


@stoppable
@published
def rule_tally(cursor: Cursor, rule: str) -> Tally:
    """Who meets a rule, who does not, and for whom a value is not known."""
    return tally(cursor.population(), _rule(rule))


@stoppable
@published
def rule_breakdown(cursor: Cursor, rule: str, field: str) -> Breakdown:
    """How the members split by a field."""
    return breakdown(cursor.population(), _rule(rule), field)


@stoppable
@published
def rule_differences(cursor: Cursor, rule: str) -> list[Difference]:
    """In what the members differ most from the rest."""
    return differences(cursor.population(), _rule(rule), most=8)


@stoppable
@published
def rule_overlap(cursor: Cursor, rules: tuple[tuple[str, str], ...]) -> Overlap:
    """How segments overlap."""
    return overlap(cursor.population(), {name: _rule(rule) for name, rule in rules})


@stoppable
@published
def rule_impact(cursor: Cursor, before: str, after: str) -> tuple[int, int]:
    """How many would enter and leave if one rule took the place of another."""
    found = impact(cursor.population(), _rule(before), _rule(after))
    return found.entered, found.left


@stoppable
@published
def rule_audience(cursor: Cursor, rule: str, channel: Channel, purpose: str) -> Audience:
    """The members who may be contacted, by id alone, and why the others may not."""
    found = audience(cursor.population(), _rule(rule), channel, purpose)
    return replace(found, people=found.people.select("customer_id"))


@stoppable
@published
def size_on(cursor: Cursor, rule: str, day: date, known_by: date | None = None) -> int:
    """How many met a rule on an earlier day, from the facts dated, or delivered, by then."""
    return count(population_on(cursor.population(), day, known_by), _rule(rule))


@published
def first_delivery(cursor: Cursor) -> date | None:
    """The day on which the first file or row of any source came."""
    found: date | None = cursor.value("select min(loaded_date) from late_facts")
    return found


@published
def frozen_size(cursor: Cursor, segment_id: str, day: date) -> int:
    """How many were in a segment as the run of that time found it."""
    return members_on(cursor.connection, segment_id, day).height


@stoppable
@published
def rule_members(cursor: Cursor, rule: str, limit: int, offset: int) -> list[Row]:
    """A page of the members."""
    columns = (
        "customer_id", "full_name", "email", "city", "lifecycle_status", "lifetime_net_revenue",
        "last_order_date",
    )  # fmt: skip
    return members(cursor.population(), _rule(rule), columns, limit, offset).to_dicts()


@published
def histories(cursor: Cursor) -> dict[str, list[SizePoint]]:
    """The sizes of the segments over the runs that changed them."""
    return size_history(cursor.connection)


@published
def moved_since(cursor: Cursor, day: date) -> dict[str, tuple[int, int]]:
    """How many entered and left each segment by the runs after a day."""
    return changes_since(cursor.connection, day)


@stoppable
@published
def values_of(cursor: Cursor, field: str, search: str, rule: str) -> list[tuple[Any, int]]:
    """The commonest values of a field that a search finds, and how many customers have each.

    Of those who meet the rule, when there is one.
    """
    people = cursor.population()
    within = _rule(rule) if rule else None
    frame = value_counts(people, field, within, search.strip(), limit=VALUES)
    is_number = people.catalogue[field].type in ("integer", "number")
    return [
        (_plain_number(value) if is_number else str(value), count)
        for value, count in frame.rows()
        if value is not None
    ]


def _plain_number(value: Any) -> int | float:
    number = float(value)
    return int(number) if number.is_integer() else number


@stoppable
@published
def done_values(
    cursor: Cursor, behaviour: str, field: str, search: str = "", rule: str = ""
) -> list[tuple[str, int]]:
    """The commonest values of a field of a behaviour, and how many customers did it with each."""
    within = _rule(rule) if rule else None
    frame = activity_values(
        cursor.population(), behaviour, field, search.strip(), VALUES, rule=within
    )
    return [(str(value), count) for value, count in frame.rows()]


@published
def places(cursor: Cursor) -> dict[str, tuple[float, float]]:
    """Where the cities with most customers are: the middle of those who live there."""
    rows = cursor.rows(
        """
        select city, avg(latitude) as latitude, avg(longitude) as longitude
        from customer_profiles where city is not null and latitude is not null
        group by city order by count(*) desc, city limit 500
        """
    )
    return {row["city"]: (round(row["latitude"], 5), round(row["longitude"], 5)) for row in rows}


@stoppable
def reasons(
    rule: Node, segments: list[Segment], customer_id: str, language: str
) -> tuple[Reason, list[Change]]:
    """Why someone is in a segment or not, and what would bring them in."""
    reason = why(population(segments), rule, customer_id, language)
    return reason, smallest_change(reason)
