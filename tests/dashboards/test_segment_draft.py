from datetime import date
from typing import Any

import pytest

from cohorte.segments import ProfileField, parse_rule, rule_json
from dashboards.language import Words
from dashboards.segment_builder import as_day, as_point, meant_value
from dashboards.segment_draft import (
    Draft,
    Group,
    Line,
    Raw,
    draft_rule,
    duplicate,
    incomplete,
    move,
    moves,
    normal,
    open_draft,
    remove,
    to_clause,
    to_group,
    to_rule,
)

AGED = {"field": "amount", "op": "greater", "value": 5}
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
    {"all": [{"any": [{"none": [{"field": "age", "op": "is_known", "off": True}]}], "off": True}]},
    {
        "any": [
            {"did": "ordered"},
            {"did": "ordered", "times": {"exactly": 0}, "window": {"last_days": 90}},
            {"did": "bought", "times": {"at_most": 3}, "where": [AGED]},
            {
                "did": "ordered",
                "measure": {"by": "sum", "of": "amount", "op": "between", "value": [1, 2.5]},
                "window": {"after": {"did": "ordered", "which": "last"}, "days": 30},
            },
            {"did": "ordered", "window": {"since": "2026-01-01"}, "off": True},
        ]
    },
    {
        "all": [
            {
                "first": {"did": "abandoned_cart"},
                "then": {"did": "ordered", "where": [AGED]},
                "within_days": 3,
                "follows": False,
                "window": {"except_last_days": 5},
            },
            {"segment": "win_back"},
            {"segment": "win_back", "change": "left", "last_days": 7},
            {"near": {"latitude": 45.5, "longitude": 4.25, "name": "Lyon"}, "km": 20},
            {"decile_of": "net_revenue", "deciles": [9, 10]},
            {"contactable": "sms", "purpose": "marketing"},
        ]
    },
    {
        "all": [
            {"field": "age", "op": "in", "value": [30, 40.5]},
            {"field": "birth_date", "op": "equals", "value": "1990-05-01"},
            {"field": "birth_date", "op": "in", "value": ["1990-05-01", "1990-05-02"]},
            {"field": "birth_date", "op": "not_in", "value": ["1990-05-01"], "unknown": True},
            {"field": "city", "op": "in", "value": ["2026-01-01", "Paris"]},
            {"decile_of": "net_revenue", "deciles": [10, 9]},
            {"field": "sources", "op": "contains", "value": "crm"},
            {"near": {"latitude": 45.5, "longitude": 4.25}, "km": 20, "unknown": True},
            {"did": "ordered", "window": {"last_days": 60, "except_last_days": 30}},
            {
                "did": "ordered",
                "measure": {
                    "by": "average",
                    "of": "amount",
                    "op": "less",
                    "value": 9,
                    "unknown": True,
                },
                "window": {"after": {"did": "bought", "where": [AGED], "which": "last"}},
            },
            {
                "first": {"did": "bought", "where": [AGED]},
                "then": {"did": "bought", "where": [AGED]},
                "window": {"before": {"did": "ordered", "where": [AGED]}, "days": 9},
            },
            {"any": [{"share": 0.1, "seed": "x"}, {"none": [{"share": 0.2}]}]},
            {
                "any": [
                    {
                        "top": 5,
                        "by": "age",
                        "order": "lowest",
                        "among": {
                            "any": [
                                {"did": "ordered"},
                                {"top": 50, "by": "net_revenue", "among": {"all": []}},
                            ]
                        },
                    }
                ]
            },
        ]
    },
    {
        "any": [
            {"moved": "rfm_segment", "was": ["champions"], "now": ["lost"], "days_ago": 30},
            {"moved": "rfm_segment", "now": ["lost"]},
            {"moved": "monetary_score", "fell": 2, "since": "2026-06-30"},
            {"moved": "expected_value", "rose": 12.5, "percent": True},
            {"moved": "expected_value", "off": True},
        ]
    },
]
CAPPED: list[dict[str, Any]] = [
    {"top": 20, "by": "net_revenue", "among": {"all": [{"field": "age", "op": "is_known"}]}},
    {"all": [{"any": [{"did": "ordered"}]}, {"share": 0.25, "seed": "spring"}]},
    {"all": [{"any": [{"did": "ordered"}]}, {"none": [{"share": 0.1, "seed": "spring"}]}]},
]


@pytest.mark.parametrize("rule", EDITABLE)
def test_a_rule_comes_back_from_the_builder_as_it_went_in(rule: dict[str, Any]) -> None:
    group = to_group(parse_rule(rule))
    assert not any(isinstance(row, Raw) for row in group.rows())
    assert normal(to_rule(group)) == rule_json(parse_rule(rule))


@pytest.mark.parametrize("rule", CAPPED)
def test_what_is_taken_of_a_rule_comes_back_too(rule: dict[str, Any]) -> None:
    draft = open_draft("x", rule)
    assert draft.cap.kind != "none"
    assert normal(draft_rule(draft)) == normal(rule)


@pytest.mark.parametrize(
    "part",
    [
        {"field": "is_internal", "op": "in", "value": [True, False]},
        {"share": 0.123456789012},
    ],
)
def test_what_the_builder_has_no_row_for_is_kept_as_it_is(part: dict[str, Any]) -> None:
    rule = {"any": [part, {"field": "age", "op": "is_known"}]}
    group = to_group(parse_rule(rule))
    assert isinstance(group.items[0], Raw)
    assert normal(to_rule(group)) == normal(rule)


def test_a_flag_that_is_one_of_one_is_a_flag() -> None:
    rule = {"all": [{"field": "is_internal", "op": "not_in", "value": [True]}]}
    assert to_rule(to_group(parse_rule(rule))) == {
        "all": [{"field": "is_internal", "op": "equals", "value": False}]
    }


def test_days_and_places_are_understood_as_people_type_them() -> None:
    assert as_day("31/12/2026") == as_day(" 2026-12-31 ") == date(2026, 12, 31)
    assert as_day("31/02/2026") is None
    assert as_point("45.76, 4.84") == (45.76, 4.84)
    assert as_point("-20.9; 55.5") == (-20.9, 55.5)
    assert as_point("Lyon") is as_point("145, 4") is None


def test_what_is_typed_is_the_value_meant_whatever_its_accents() -> None:
    region = ProfileField("region", "text", "VARCHAR", choices={"idf": {"fr": "Grand Paris"}})
    known = [("Belle-Île", 9), ("Île-de-France", 3), ("ile", 1)]

    def meant(typed: str, there: int) -> str:
        return meant_value(typed, lambda _search: list(known[:there]), region, Words("fr"))

    assert meant("ile", 3) == "ile"
    assert meant("ILE", 2) == "Île-de-France"
    assert meant("ile", 1) == "Belle-Île"
    assert meant("grand p", 0) == "idf"
    assert meant("nowhere", 3) == "nowhere"


def test_equality_of_a_text_becomes_a_choice_of_one() -> None:
    rule = {"all": [{"field": "city", "op": "not_equals", "value": "Paris"}]}
    group = to_group(parse_rule(rule))
    assert to_rule(group) == {"all": [{"field": "city", "op": "not_in", "value": ["Paris"]}]}


def test_lines_without_a_value_do_not_count() -> None:
    group = Group(
        mode="all",
        items=[
            Line("city", "in", []),
            Line("age", "between", [None, 3]),
            Line("email", "is_known"),
            Group(mode="any", items=[Line("age", "greater")]),
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


def _three() -> Group:
    inner = Group(mode="any", items=[Line("b", "is_known")])
    return Group(items=[Line("a", "is_known"), inner, Line("c", "is_known")])


def _outline(group: Group) -> list[Any]:
    return [
        _outline(item) if isinstance(item, Group) else getattr(item, "field", "?")
        for item in group.items
    ]


def test_rows_move_up_down_into_and_out_of_groups() -> None:
    top = _three()
    first = top.items[0]
    assert moves(top, first) == ["down", "in"]
    move(top, first, "in")
    assert _outline(top) == [["b", "a"], "c"]
    assert moves(top, first) == ["up", "out"]
    move(top, first, "out")
    assert _outline(top) == [["b"], "a", "c"]
    move(top, first, "down")
    move(top, first, "down")
    assert _outline(top) == [["b"], "c", "a"]
    move(top, first, "up")
    assert _outline(top) == [["b"], "a", "c"]
    assert moves(top, top) == []


def test_a_copy_is_a_row_of_its_own() -> None:
    top = _three()
    duplicate(top, top.items[1])
    copied = top.items[2]
    assert isinstance(copied, Group)
    copied.items[0].off = True
    assert _outline(top) == ["a", ["b"], ["b"], "c"]
    assert not next(iter(top.items[1].rows())).off  # type: ignore[attr-defined]
    remove(top, copied)
    assert _outline(top) == ["a", ["b"], "c"]


def test_undo_goes_back_step_by_step_and_redo_forth() -> None:
    draft = Draft("x", "", _three())
    draft.remember()
    draft.rule.items.pop()
    draft.remember()
    draft.remember()
    draft.cap.kind = "top"
    draft.remember()
    draft.undo()
    assert (draft.cap.kind, _outline(draft.rule)) == ("none", ["a", ["b"]])
    draft.undo()
    assert _outline(draft.rule) == ["a", ["b"], "c"]
    draft.undo()
    draft.redo()
    draft.redo()
    assert (draft.cap.kind, _outline(draft.rule)) == ("top", ["a", ["b"]])
    draft.remember()
    assert len(draft.past) == 2
