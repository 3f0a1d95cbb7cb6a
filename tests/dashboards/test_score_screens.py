"""The screens of scores: a question asked becomes a file; groups, lookalikes and campaigns."""

from __future__ import annotations

from datetime import date

import pytest

from cohorte.store import open_store
from cohorte.workspace import Workspace
from dashboards import score_facts
from dashboards.score_facts import list_rule
from models.propensity import read_propensities
from tests.dashboards.conftest import RunScreen, said
from tests.support.published import build_workspace


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A company of a page's own, for what writes."""
    return build_workspace(tmp_path_factory.mktemp("asked") / "company", customers=60)


def test_a_question_asked_on_the_page_becomes_a_file(screen: RunScreen, company: Workspace) -> None:
    app = screen("scores", root=company.root, lang="en")
    app.text_input(key="ask-name").set_value("Will buy twice").run()
    app.number_input(key="ask-days").set_value(45).run()
    app.number_input(key="ask-times").set_value(2).run()
    assert "45 days later" in said(app)
    app.button(key="ask-save").click().run()
    assert not app.exception
    (asked,) = read_propensities(company.root)
    assert asked.propensity == "will_buy_twice"
    assert asked.within_days == 45
    (behaviour,) = asked.will.all  # type: ignore[union-attr]
    assert behaviour.times.at_least == 2
    assert behaviour.window.last_days == 45
    assert "It has not been learned yet" in said(app), "the page shows the new question"
    with open_store(company.store_url) as store:
        assert store.list_audit()[0].action == "score.asked"


def test_a_group_is_saved_as_a_segment_that_follows_it(
    screen: RunScreen, company: Workspace
) -> None:
    app = screen("groups", root=company.root, lang="en")
    assert "2 groups of buyers" in said(app)
    app.button(key="save-group").click().run()
    assert not app.exception
    with open_store(company.store_url) as store:
        (saved,) = store.list_segments()
    assert saved.rule == {"all": [{"field": "cluster", "op": "equals", "value": "1"}]}


def test_a_campaign_shows_its_effect_and_what_was_before(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("campaigns", lang="en")
    assert "Held out" in said(app)
    assert "(A/A)" in said(app)


def test_the_page_of_a_customer_tells_the_next_order(screen: RunScreen, served: Workspace) -> None:
    from tests.dashboards.test_screens import one

    (customer, day) = one(
        served,
        "select customer_id, expected_date from next_orders where latest_date is not null"
        " order by 1 limit 1",
    )
    app = screen("customer", lang="en", id=str(customer))
    assert isinstance(day, date)
    assert f"Next order expected by {day.day} {day:%b}" in said(app)
    assert "Four in five such customers order between" in said(app)


def test_the_page_of_scores_says_when_customers_are_expected(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("scores", lang="en", score="next_order")
    assert not app.exception
    assert "failure" not in said(app)
    assert "No score yet" in said(app), "the version that made it is not kept here"


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "No value score: 7 customers who ordered on two days are too few."),
        ("fr", "Pas de score de valeur : 7 clients ayant commandé deux jours différents"),
    ],
)
def test_a_score_that_was_refused_says_why_in_the_readers_language(
    screen: RunScreen, served: Workspace, monkeypatch: pytest.MonkeyPatch, language: str, told: str
) -> None:
    refused = ("too_few_repeat_buyers", {"repeat_buyers": 7})
    monkeypatch.setattr(score_facts, "verdict", lambda name: refused)
    monkeypatch.setattr(score_facts, "spread", lambda relation: {"scored": 0})
    assert told in said(screen("scores", lang=language))


def test_the_leads_whose_score_moved_show_what_it_was(screen: RunScreen, served: Workspace) -> None:
    shown = said(screen("sales", lang="en"))
    assert "Leads whose score moved" in shown
    assert " → " in shown


def test_a_long_list_is_a_rule_of_parts() -> None:
    parts = list_rule([str(number) for number in range(4500)])["any"]
    assert [len(part["value"]) for part in parts] == [2000, 2000, 500]
