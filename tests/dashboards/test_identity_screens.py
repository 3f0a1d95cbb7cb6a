"""Duplicates waiting, history, settings, and how one customer is known."""

from __future__ import annotations

import json
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest

from cohorte.clock import now
from cohorte.store import open_store
from cohorte.workspace import Workspace, open_workspace
from dashboards import link_model, theme
from dashboards.language import words
from models.identity.artifact import save_model
from tests.dashboards.conftest import RunScreen, rows_of, said
from tests.dashboards.test_screens import one


@pytest.fixture
def own(served: Workspace, tmp_path: Path) -> Workspace:
    """The served workspace with a store of its own, to be written to."""
    shutil.copytree(served.root, tmp_path / "own")
    return open_workspace(tmp_path / "own")


def decisions(workspace: Workspace) -> list[str]:
    with open_store(workspace.store_url) as store:
        return [decision.verdict for decision in store.list_identity_decisions()]


@pytest.mark.parametrize(("language", "told"), [("fr", "Fiches sources"), ("en", "Source records")])
def test_the_waiting_pairs_are_shown_with_their_evidence(
    screen: RunScreen, language: str, told: str
) -> None:
    app = screen("identity", lang=language)
    assert not app.exception
    assert told in said(app)
    assert ("prénom" if language == "fr" else "first name") in said(app)


def test_a_pair_is_decided_then_taken_back(screen: RunScreen, own: Workspace) -> None:
    app = screen("identity", root=own.root, lang="en")
    (waiting,) = one(own, "select count(*) from identity_links where status = 'review'")
    assert f"Pair 1 of {waiting}" in said(app)
    app.button(key="say-same").click().run()
    assert decisions(own) == ["same"]
    assert f"Pair 1 of {int(str(waiting)) - 1}" in said(app)
    app.button(key="undo-decision").click().run()
    assert decisions(own) == []
    app.button(key="say-not-same").click().run()
    assert decisions(own) == ["not_same"]


def test_pairs_that_nothing_contradicts_are_decided_at_once_when_one_is_sure(
    screen: RunScreen, own: Workspace
) -> None:
    app = screen("identity", root=own.root, lang="en")
    assert app.button(key="bulk-same").disabled
    app.checkbox(key="bulk-sure").check().run()
    app.button(key="bulk-same").click().run()
    (safe,) = one(
        own,
        "select count(*) from identity_links where status = 'review' and match_probability >= 0.8",
    )
    assert decisions(own) == ["same"] * int(str(safe))


def test_what_was_decided_is_in_the_history_and_can_be_withdrawn(
    screen: RunScreen, own: Workspace
) -> None:
    with open_store(own.store_url) as store:
        made = store.decide_identity(
            ("shop", "a"), ("mailing", "b"), "same", who="Zoé", at=now(), reason="cousins"
        )
    app = screen("identity", root=own.root, lang="en", view="history")
    assert "0LDC0ST0MER0" in said(app)
    assert "cousins" in said(app)
    app.button(key=f"withdraw-{made.decision_id}").click().run()
    assert decisions(own) == []


def test_the_settings_are_told(screen: RunScreen) -> None:
    app = screen("identity", lang="en", view="settings")
    assert not app.exception
    assert "shared keys and probable links" in said(app)
    assert "most trusted source" in said(app)
    assert app.number_input(key="sim-weight-email").value == 1


def a_link_model(folder: Path) -> None:
    level = {"comparison_name": "given", "label_for_charts": "same first name",
        "log2_bayes_factor": 6.8, "m_probability": 0.91, "u_probability": 0.008}  # fmt: skip
    start = dict.fromkeys(level) | {"comparison_name": "probability_two_random_records_match"}
    charts = {
        "match_weights": {"data": {"values": [start, level]}},
        "unlinkables": {
            "data": {
                "values": [
                    {"match_weight": -1.0, "cum_prop": 0.02},
                    {"match_weight": 4.0, "cum_prop": 0.07},
                    {"match_weight": 9.0, "cum_prop": 1.0},
                ]
            }
        },
    }
    save_model(folder, {}, charts, columns=frozenset({"given"}), records=1200, now=now())


def test_what_the_link_model_learned_is_drawn_with_tables(
    screen: RunScreen, own: Workspace
) -> None:
    assert "Learned from" not in said(screen("identity", root=own.root, lang="en", view="settings"))
    a_link_model(own.artifacts_dir / "identity")
    app = screen("identity", root=own.root, lang="en", view="settings")
    assert not app.exception
    told = said(app)
    assert "first name: same first name" in told
    assert "7.0% of records could not be found again" in told
    assert "where every pair starts" in told
    assert "What another threshold would join" in told


def test_what_was_learned_of_organisations_is_drawn_too(screen: RunScreen, own: Workspace) -> None:
    told = said(screen("organisations", root=own.root, lang="en", view="weights"))
    assert "once 50 pairs of accounts state one registration" in told
    a_link_model(own.artifacts_dir / "identity" / "organisations")
    app = screen("organisations", root=own.root, lang="en", view="weights")
    assert not app.exception
    told = said(app)
    assert "What speaks for one organisation, and what against" in told
    assert "2.0% of accounts could not be found again" in told


def test_the_parts_of_a_pair_add_up_to_its_weight() -> None:
    row = {"match_weight": 3.0, "evidence": '{"given": 6.5, "tf_adj_given": 1.0, "email": -2.5}'}
    drawn = link_model.waterfall(row, words(), theme.tokens("light"))
    bars = drawn.spec["data"]["values"]
    assert [(bar["start"], bar["end"]) for bar in bars] == [
        (0.0, -2.0), (-2.0, 5.5), (5.5, 3.0), (0.0, 3.0),
    ]  # fmt: skip
    assert drawn.rows[-1][1] == "3"


def test_an_old_id_leads_to_the_customer_it_was_merged_into(
    screen: RunScreen, served: Workspace
) -> None:
    customer_id, name = one(
        served,
        "select customer_id, full_name from customers"
        " where customer_id = (select customer_id from customer_aliases)",
    )
    for page in ("customer", "customer_identity"):
        app = screen(page, lang="en", id="0LDC0ST0MER0")
        assert not app.exception
        assert str(customer_id) in said(app)
        assert "was merged into" in said(app) or "merged into" in said(app)
    assert name is not None


def test_a_retired_id_is_found_in_the_list(screen: RunScreen, served: Workspace) -> None:
    (customer_id,) = one(served, "select customer_id from customer_aliases")
    app = screen("customers", lang="en", q="0ldc0st0mer0")
    assert rows_of(app, "people") == [customer_id]


def test_notes_of_a_retired_id_are_the_customers(screen: RunScreen, own: Workspace) -> None:
    (customer_id,) = one(own, "select customer_id from customer_aliases")
    with open_store(own.store_url) as store:
        store.add_note("customer", "0LDC0ST0MER0", "Prefers tea", author="Zoé", at=now())
    assert "Prefers tea" in said(screen("customer", root=own.root, lang="en", id=str(customer_id)))


def test_a_value_is_set_right_and_a_wrong_one_is_refused(screen: RunScreen, own: Workspace) -> None:
    (customer_id,) = one(own, "select customer_id from customers order by records_count desc, 1")
    app = screen("customer_identity", root=own.root, lang="en", id=str(customer_id))
    assert not app.exception
    app.selectbox(key="correct-field").set_value("birth_date")
    app.text_input(key="correct-value").set_value("31/02/1980")
    app.button(key="correct-keep").click().run()
    assert "is not a date" in said(app)
    app.selectbox(key="correct-field").set_value("city")
    app.text_input(key="correct-value").set_value("Lille")
    app.button(key="correct-keep").click().run()
    with open_store(own.store_url) as store:
        assert [(held.field, held.value) for held in store.list_corrections()] == [
            ("city", "Lille")
        ]
    assert "Lille" in said(app)


@pytest.mark.parametrize("name", ["identity", "customer_identity"])
def test_hostile_text_stays_text(screen: RunScreen, hostile: Workspace, name: str) -> None:
    (customer_id,) = one(
        hostile, "select customer_id from customers order by records_count desc, 1"
    )
    shown = [(name, view) for view in ("waiting", "history")]
    if name == "identity":
        shown += [("organisations", "waiting"), ("organisations", "all")]
    for page, view in shown:
        asked = "OA002" if view == "all" else str(customer_id) if page == name else ""
        app = screen(page, root=hostile.root, lang="en", id=asked, view=view)
        assert not app.exception
        assert "<img" not in said(app)
        assert "<script>" not in said(app)


def test_an_organisation_shows_its_accounts_contacts_and_who_is_above(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("organisations", lang="en")
    assert not app.exception
    assert "Part of another" in said(app)
    (child, parent) = one(
        served,
        "select child.organisation_id, parents.organisation_name from organisations as child"
        " join organisations as parents on parents.organisation_id = child.parent_organisation_id"
        " order by 1 limit 1",
    )
    (person,) = one(
        served,
        "select full_name from accounts join identities using (source, account_id)"
        f" where organisation_id = '{child}' order by 1 limit 1",
    )
    page = said(screen("organisations", lang="en", id=str(child)))
    assert escape(str(parent)) in page
    assert escape(str(person)) in page
    assert "1 account makes this organisation" in page


def test_two_accounts_are_decided_on_then_it_is_withdrawn(
    screen: RunScreen, own: Workspace
) -> None:
    def held() -> list[str]:
        with open_store(own.store_url) as store:
            assert store.list_identity_decisions() == []
            return [said.verdict for said in store.list_identity_decisions("organisation")]

    app = screen("organisations", root=own.root, lang="en", view="waiting")
    assert "Pair 1 of 1" in said(app)
    assert "name: speaks strongly for" in said(app)
    app.button(key="say-same").click().run()
    assert held() == ["same"]
    assert "No pair waits here" in said(app)
    app.button(key="withdraw-1").click().run()
    assert held() == []
    assert "Pair 1 of 1" in said(app)


def test_an_account_is_taken_out_of_its_organisation(screen: RunScreen, own: Workspace) -> None:
    app = screen("organisations", root=own.root, lang="en", id="OA002")
    app.button(key="out-erp-E2").click().run()
    with open_store(own.store_url) as store:
        (decision,) = store.list_identity_decisions("organisation")
    assert (decision.verdict, decision.contact_a, decision.contact_b) == ("not_same", "E2", "A002")


def test_a_rehearsal_shows_segments_and_kpis(
    screen: RunScreen, own: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def answer(command: list[str], **_how: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        found = {
            "customers": [300, 310],
            "segments": {"loyal": [40, 37]},
            "kpis": {"repeat_rate": ["0.42", "0.40"], "net_revenue": ["1000.00", "1000.00"]},
        }
        return subprocess.CompletedProcess(command, 0, json.dumps(found), "")

    app = screen("identity", root=own.root, lang="en", view="settings")
    monkeypatch.setattr("dashboards.operations.subprocess.run", answer)
    app.number_input(key="sim-weight-email").set_value(0.5).run()
    app.button(key="rehearse").click().run()
    assert not app.exception
    assert {"--rehearse", "email=0.5"} <= set(asked[0])
    page = said(app)
    assert "Segment loyal" in page
    assert all(figure in page for figure in ("310", "+10", "37", "42.0%", "40.0%"))
