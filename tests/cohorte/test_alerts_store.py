"""The store keeps one alert a problem, and the order of runs whatever the clock says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from cohorte.i18n import translator
from cohorte.said import said, told
from cohorte.store import Store, open_store

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
LATE = {"stale:shop": ("stale", "nothing from shop for 4 days")}


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'store.db'}")


def names(alerts):
    return [alert.problem for alert in alerts]


def test_a_problem_is_told_once_and_its_end_once(store):
    began, ended = store.keep_alerts(LATE, looked_at={"stale:"}, at=NOW)
    assert (names(began), names(ended)) == (["stale:shop"], [])
    assert store.keep_alerts(LATE, looked_at={"stale:"}, at=NOW) == ([], [])
    began, ended = store.keep_alerts({}, looked_at={"stale:"}, at=NOW + timedelta(hours=1))
    assert (names(began), names(ended)) == ([], ["stale:shop"])
    assert store.keep_alerts({}, looked_at={"stale:"}, at=NOW) == ([], [])
    assert store.list_alerts(only_open=True) == []
    assert names(store.list_alerts()) == ["stale:shop"]


def test_an_alert_is_told_in_the_language_of_who_reads_it(store):
    told_so = said("nothing from {source} since {at} UTC", source="{shop}", at="2026-11-17 05:00")
    store.keep_alerts({"stale:shop": ("stale", told_so)}, looked_at={"stale:"}, at=NOW)
    (alert,) = store.list_alerts(only_open=True)
    assert alert.detail == "nothing from {shop} since 2026-11-17 05:00 UTC"
    assert told(alert.detail, translator("fr")) == "rien de {shop} depuis le 2026-11-17 05:00 UTC"


def test_an_alert_that_was_not_looked_for_stays(store):
    store.keep_alerts(LATE, looked_at={"stale:"}, at=NOW)
    assert store.keep_alerts({}, looked_at={"failure:refresh"}, at=NOW) == ([], [])
    assert names(store.list_alerts(only_open=True)) == ["stale:shop"]


def test_the_newest_run_is_the_last_to_begin_though_the_clock_was_set_back(store):
    for run_id, at in (("first", NOW), ("second", NOW - timedelta(days=2))):
        store.start_run(run_id, as_of=date(2026, 11, 20), at=at, kind="retrain")
        store.finish_run(run_id, "succeeded", at=at)
    assert [(run.run_id, run.number) for run in store.list_runs()] == [("second", 2), ("first", 1)]
