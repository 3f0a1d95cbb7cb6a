"""Whatever happens to a run, wherever: readers read on, and the next run is as if nothing had.

A case takes about a minute and a half, so all are behind ``full``; what every commit runs is the
kill in tests/flows/test_story.py and the damage of test_damage.py.
"""

from __future__ import annotations

import signal
import sys

import pytest

from cohorte.store import open_store
from cohorte.warehouse import served_version
from flows.stations import STATIONS
from pipelines.publish import published_hashes
from tests.faults.child import BROKEN, FULL, KILL
from tests.faults.harness import Reader, copy_of, run, run_with_fault

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the shim is for Linux")

FAULTS = {"killed": KILL, "disk_full": FULL, "write_fails": BROKEN}
MOMENTS = ("first", "half", "end")

CASES = [
    pytest.param(station, fault, moment, id=f"{station}-{fault}-{moment}")
    for station in STATIONS
    for fault in FAULTS
    for moment in MOMENTS
]


@pytest.mark.full
@pytest.mark.parametrize(("station", "fault", "moment"), CASES)
def test_nothing_is_lost_and_nobody_reads_a_half(
    undisturbed, shim, tmp_path, station, fault, moment
):
    workspace = copy_of(undisturbed.start, tmp_path / "company")
    writes = undisturbed.writes[station]
    nth = {"first": 1, "half": max(1, writes // 2), "end": 0}[moment]
    with Reader(workspace) as reader:
        ended = run_with_fault(workspace, shim, tmp_path, FAULTS[fault], station, nth)
        assert ended.fired or FAULTS[fault] == BROKEN, "the fault did not come about"
        if fault == "killed":
            assert ended.code == -signal.SIGKILL
        after = run(workspace)
    assert after.status == "succeeded", after.message
    assert published_hashes(after.version) == undisturbed.hashes
    assert reader.failures == []
    known = {undisturbed.before[1:], undisturbed.after[1:]}
    assert {seen[1:] for seen in reader.seen} <= known
    served = served_version(workspace)
    # Where a write may fail, the run went on, and nothing was left for the next.
    went_on = ended.told.get("status") == "succeeded"
    assert served == after.version
    assert served.run_id == after.run_id or went_on
    with open_store(workspace.store_url) as store:
        statuses = [entry.status for entry in store.list_runs()]
    assert statuses[0] == "succeeded"
    assert "running" not in statuses
