"""One number wherever a segment is counted; the page and the builder of what customers did."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from cohorte.store import open_store
from cohorte.workspace import Workspace
from flows import segments_cli
from tests.dashboards.conftest import RUN_AT, RunScreen, component_data, said

RULE: dict[str, Any] = {
    "all": [
        {"did": "ordered", "times": {"at_least": 2}, "window": {"last_days": 500}},
        {"any": [
            {"field": "age", "op": "greater", "value": 30, "unknown": True},
            {"none": [{"did": "opened_email", "window": {"last_days": 90}}]},
        ]},
        {"segment": "win_back", "off": True},
    ]
}  # fmt: skip


@pytest.fixture
def saved(served: Workspace) -> str:
    with open_store(served.store_url) as store:
        known = {segment.name: segment.segment_id for segment in store.list_segments()}
        if "Active" in known:
            return known["Active"]
        return store.save_segment(
            "Active", RULE, author="a test", at=RUN_AT, tags=["spring"]
        ).segment_id


def _big(app: AppTest) -> int:
    found = re.findall(r'class="co-big">([^<]*)<', said(app))
    return int(re.sub(r"\D", "", found[-1]))


def _command(served: Workspace, *arguments: str) -> str:
    told = CliRunner().invoke(segments_cli.app, [*arguments, "-w", str(served.root)])
    assert told.exit_code == 0, told.output
    return told.output


def test_list_page_builder_export_and_command_line_say_one_number(
    screen: RunScreen, served: Workspace, saved: str
) -> None:
    size = int(_command(served, "count", "Active"))
    assert 0 < size < 400
    rows = component_data(screen("segments", lang="en"), "segments")["rows"]
    (row,) = [row for row in rows if row["id"] == saved]
    assert row["cells"][1]["text"] == str(size)
    page = screen("segments", lang="en", id=saved)
    assert _big(page) == size
    assert f'In the segment</span><span class="v">{size}<' in said(page)
    page.button(key="edit").click().run()
    assert _big(page) == size
    assert f">{size}</span>" in said(page)
    assert _command(served, "export", "Active", "--check").startswith(f"{size} customers")
    listed = _command(served, "members", "Active", "--limit", "400", "--json")
    assert listed.count("customer_id") == size
    assert f"{size} customers in v7" in _command(served, "show", "Active")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_view_of_a_segment_shows(screen: RunScreen, saved: str, language: str) -> None:
    app = screen("segments", lang=language, id=saved)
    for view in ("who", "members", "why", "time", "rule"):
        app.session_state[f"view-{saved}"] = view
        app.run()
        assert not app.exception, view
        assert "co-empty failure" not in said(app), view


def test_a_day_of_the_past_is_the_command_lines_too(
    screen: RunScreen, served: Workspace, saved: str
) -> None:
    app = screen("segments", lang="en", id=saved)
    app.session_state[f"view-{saved}"] = "time"
    app.run()
    app.date_input(key=f"then-{saved}").set_value(date(2026, 6, 30)).run()
    then = int(_command(served, "count", "Active", "--as-of", "2026-06-30"))
    assert then > 0
    assert f'Counted anew</span><span class="v">{then}<' in said(app)
    assert "no run yet" in said(app)
    app.toggle(key=f"late-{saved}").set_value(True).run()
    both = ("--as-of", "2026-06-30", "--known-by", "2026-06-30")
    by_then = int(_command(served, "count", "Active", *both))
    assert 0 < by_then < then
    assert f'Counted anew</span><span class="v">{by_then}<' in said(app)


def test_someones_reasons_are_told_with_their_records(
    screen: RunScreen, served: Workspace, saved: str
) -> None:
    listed = _command(served, "members", "Active", "--limit", "1", "--json")
    customer_id = re.findall(r'"customer_id": "([^"]+)"', listed)[0]
    app = screen("segments", lang="en", id=saved)
    app.session_state[f"view-{saved}"] = "why"
    app.run()
    app.text_input(key="why-customer").input(customer_id).run()
    assert f"({customer_id}) is in the segment." in said(app)
    assert "Order ·" in said(app)
    name = re.findall(r">([^<>]+) \([^()]*\) is in the segment", said(app))[0]
    app.text_input(key="why-customer").input(name).run()
    if "why-whom" in app.session_state:
        app.selectbox(key="why-whom").set_value(customer_id).run()
    assert f"{name} ({customer_id}) is in the segment." in said(app)
    app.text_input(key="why-customer").input("zzxqvw").run()
    assert "there is no customer" in said(app)


def test_the_list_is_searched_by_words_and_tags(screen: RunScreen, saved: str) -> None:
    app = screen("segments", lang="en")
    # Other tests of the same company may have saved one with these words too.
    app.text_input(key="search-segments").input("ordered at least 2").run()
    assert saved in [row["id"] for row in component_data(app, "segments")["rows"]]
    app.text_input(key="search-segments").input("ordered at least 99").run()
    assert component_data(app, "segments")["rows"] == []
    app.text_input(key="search-segments").input("").run()
    app.multiselect(key="tags-segments").select("spring").run()
    assert [row["id"] for row in component_data(app, "segments")["rows"]] == [saved]


def test_an_earlier_definition_is_shown_with_its_changes_and_restored(
    screen: RunScreen, served: Workspace
) -> None:
    first, second = {"all": [{"did": "ordered"}]}, {"all": [{"did": "visited"}]}
    with open_store(served.store_url) as store:
        made = store.save_segment("Two lives", first, author="ana", at=RUN_AT)
        store.save_segment("Two lives", second, author="bob", at=RUN_AT, segment_id=made.segment_id)
    try:
        app = screen("segments", lang="en", id=made.segment_id)
        app.session_state[f"view-{made.segment_id}"] = "rule"
        app.run()
        assert "- - did: ordered" in said(app)
        assert "+ - did: visited" in said(app)
        app.button(key="restore-1").click().run()
        with open_store(served.store_url) as store:
            now = store.segment(made.segment_id)
            assert (now.rule, now.rule_version) == (first, 3)
    finally:
        with open_store(served.store_url) as store:
            store.archive_segment(made.segment_id, who="a test", at=RUN_AT)


def test_a_segment_that_another_needs_is_not_archived(
    screen: RunScreen, served: Workspace, saved: str
) -> None:
    with open_store(served.store_url) as store:
        needing = store.save_segment(
            "Needs it", {"all": [{"segment": saved}]}, author="ana", at=RUN_AT
        )
    try:
        app = screen("segments", lang="en", id=saved)
        app.button(key="archive").click().run()
        assert "Needs it" in said(app)
        with open_store(served.store_url) as store:
            assert store.segment(saved).archived_at is None
    finally:
        with open_store(served.store_url) as store:
            store.archive_segment(needing.segment_id, who="a test", at=RUN_AT)
