from typing import Any

import pytest

from cohorte.segments import parse_rule, rule_json
from dashboards.segment_draft import Group, Line, incomplete, normal, to_clause, to_group, to_rule

EDITABLE: list[dict[str, Any]] = [
    {"all": []},
    {"all": [{"field": "city", "op": "in", "value": ["Paris"]}]},
    {"any": [{"field": "age", "op": "between", "value": [25, 40]}]},
    {
        "none": [
            {"field": "email", "op": "is_unknown"},
            {"field": "is_internal", "op": "equals", "value": True},
        ]
    },
    {
        "all": [
            {"field": "days_since_last_order", "op": "greater", "value": 180, "unknown": True},
            {"field": "first_order_date", "op": "greater_or_equal", "value": "2026-01-31"},
            {"any": [{"field": "last_order_date", "op": "within_days", "value": 30}]},
        ]
    },
]


@pytest.mark.parametrize("rule", EDITABLE)
def test_a_rule_comes_back_from_the_builder_as_it_went_in(rule: dict[str, Any]) -> None:
    group = to_group(parse_rule(rule))
    assert group is not None
    assert normal(to_rule(group)) == rule_json(parse_rule(rule))


@pytest.mark.parametrize(
    "rule",
    [
        {"all": [{"any": [{"all": [{"field": "age", "op": "is_known"}]}]}]},
        {"all": [{"field": "age", "op": "in", "value": [1, 2]}]},
    ],
)
def test_what_the_builder_cannot_show_is_not_edited(rule: dict[str, Any]) -> None:
    assert to_group(parse_rule(rule)) is None


def test_equality_of_a_text_becomes_a_choice_of_one() -> None:
    rule = {"all": [{"field": "city", "op": "not_equals", "value": "Paris"}]}
    group = to_group(parse_rule(rule))
    assert group is not None
    assert to_rule(group) == {"all": [{"field": "city", "op": "not_in", "value": ["Paris"]}]}


def test_lines_without_a_value_do_not_count() -> None:
    group = Group(
        "all",
        [
            Line("city", "in", []),
            Line("age", "between", [None, 3]),
            Line("email", "is_known"),
            Group("any", [Line("age", "greater")]),
        ],
    )
    assert to_rule(group) == {"all": [{"field": "email", "op": "is_known"}]}
    assert incomplete(group) == 3


def test_bounds_given_the_wrong_way_round_are_put_right() -> None:
    assert to_clause(Line("age", "between", [40, 25])) == {
        "field": "age",
        "op": "between",
        "value": [25, 40],
    }
