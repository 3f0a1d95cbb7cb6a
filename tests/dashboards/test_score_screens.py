"""The screens of scores: a question asked becomes a file; groups, lookalikes and campaigns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from html import escape

import pytest
from streamlit.testing.v1 import AppTest

from cohorte.store import open_store
from cohorte.warehouse import open_served
from cohorte.workspace import Workspace
from dashboards import score_facts
from dashboards.score_facts import list_rule
from models.propensity import read_propensities
from models.registry import Decision
from models.whatif import Lever, Told, Value, WhatIf
from tests.dashboards.conftest import RunScreen, said
from tests.support.published import build_workspace


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A company of a page's own, for what writes."""
    return build_workspace(tmp_path_factory.mktemp("asked") / "company", customers=60)


def test_a_question_asked_on_the_page_becomes_a_file(
    screen: RunScreen, company: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    learned = Decision("2026-11-22T10:00:00+00:00", "promoted", "v", "", "nothing_served")
    monkeypatch.setattr(score_facts, "decisions", lambda registry, name: [learned])
    app.run()
    assert "nothing served before it" in said(app), (
        "learned, and waiting for a run to score with it"
    )
    assert "22 Nov 2026" in said(app)
    assert [each.label for each in app.button].count("Learn it now") == 1
    assert "could not be shown" not in said(app)
    assert not app.exception


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


def test_what_is_suggested_names_the_purchase_that_it_comes_from(
    screen: RunScreen, served: Workspace
) -> None:
    _info, con = open_served(served)
    with con:
        names = dict(con.sql("select product_id, product_name from products").fetchall())
        found = con.sql(
            "select customer_id, product_id, because_product_id from product_suggestions"
            " where kind = 'new' and place <= 3 order by customer_id, place"
        ).fetchall()
    lists: dict[str, list[str]] = {}
    for customer, product, because in found:
        reason = f'<div class="sub">goes with {escape(names[because])}</div>' if because else ""
        lists.setdefault(customer, []).append(f"<div>{escape(names[product])}{reason}</div>")
    customer, told = next(
        (customer, told)
        for customer, told in lists.items()
        if 0 < sum("goes with" in each for each in told) < len(told)
    )
    app = screen("customer", lang="en", id=customer)
    assert "<b>Might like</b>" + "".join(told) in said(app)


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


def plainly(app: AppTest) -> str:
    return said(app).replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_other_values_are_tried_within_what_was_seen(
    screen: RunScreen, served: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer with a value score and an open lead; the estimators are stood for."""

    def tell(values: Mapping[str, Value]) -> Told:
        twice = values.get("order_days_count") == 2 or values.get("channel") == "referral"
        figures = {"expected_orders": 2.5 if twice else 1.0, "expected_value": None}
        reason = {"feature": "order_days_count", "value": 2, "contribution": 0.7}
        return Told(0.6 if twice else 0.3, [reason], figures)

    levers = (
        Lever("order_days_count", 1.0, "number", 1.0, 30.0),
        Lever("channel", "fair", "category", choices=("fair", "referral")),
        Lever("has_email", True, "flag"),
    )

    def opened(found: object, who: str, source: str = "") -> WhatIf:
        return WhatIf(levers[1:] if source else levers[:1], tell)

    monkeypatch.setattr(score_facts, "artifact", lambda registry, name, version: version)
    monkeypatch.setattr(score_facts, "what_if", opened)
    _info, con = open_served(served)
    with con:
        [(customer,)] = con.execute("""
            select leads.customer_id from lead_scores inner join leads using (source, lead_id)
            inner join customer_scores on leads.customer_id = customer_scores.customer_id
            where lead_scores.as_of = (select max(as_of) from lead_scores) and not is_converted
            order by all limit 1
        """).fetchall()
    app = screen("customer", id=customer, lang="fr")
    assert not app.exception
    orders = next(one for one in app.number_input if one.label == "Jours avec commande")
    assert (orders.min, orders.max, orders.value) == (1.0, 30.0, 1.0)
    assert "de 1 à 30" in orders.help
    orders.set_value(2.0).run()
    assert "60,0 %" in plainly(app)
    assert "1,0 → 2,5" in plainly(app)
    pick = app.selectbox(key="try-score")
    pick.set_value(len(pick.options) - 1).run()
    channel = next(one for one in app.selectbox if one.label == "Canal")
    assert channel.options == ["fair", "referral"]
    assert next(one for one in app.selectbox if one.label == "E-mail donné").options == [
        "Oui", "Non",
    ]  # fmt: skip
    assert "30,0 %" in plainly(app)
    channel.set_value("referral").run()
    assert "60,0 %" in plainly(app)
