"""A parser that crashes, or asks for all memory, takes its delivery alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cohorte.errors import SettingsError
from cohorte.i18n import translator
from cohorte.said import told
from cohorte.workspace import Workspace
from pipelines.ingest import IngestReport
from pipelines.isolation import ingest_isolated
from tests.pipelines.workbench import NOW, Bench

HEADER = "Ticket,Date,Montant,Client\n"
CRASHES = """
import os, signal
from pipelines.connectors import delimited
real = delimited._load
def load(connection, texts):
    for text in texts:
        content = text.inspection.text_path.read_bytes()
        if b"SEGFAULT" in content:
            os.kill(os.getpid(), signal.SIGSEGV)
        if b"BALLOON" in content:
            held = [bytearray(500_000_000) for _ in range(100)]
    return real(connection, texts)
delimited._load = load
"""


@pytest.fixture
def crashing(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A workspace whose reading process dies of certain contents."""
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(CRASHES)
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{patch}{os.pathsep}{root}")
    bench.settings(memory_limit="200MB")
    return bench


def take(bench: Bench, **options) -> IngestReport:
    return ingest_isolated(Workspace(bench.root), now=NOW, **options)


def statuses(report: IngestReport) -> dict[str, str]:
    return {file.name: file.status for file in report.files}


def test_a_parser_that_crashes_takes_its_file_alone(crashing):
    crashing.orders()
    for name, client in (("a", "x"), ("b", "SEGFAULT"), ("c", "y"), ("d", "BALLOON"), ("e", "z")):
        crashing.deliver(f"orders_{name}.csv", f"{HEADER}T{name},2026-01-01,1,{client}\n")
    report = take(crashing)
    assert statuses(report) == {
        "orders_a.csv": "loaded",
        "orders_b.csv": "quarantined",
        "orders_c.csv": "loaded",
        "orders_d.csv": "quarantined",
        "orders_e.csv": "loaded",
    }
    assert len(report.files) == 5
    assert "reading it ended the reading process" in report.messages[0]
    assert crashing.ask("select order_id from orders order by 1") == [("Ta",), ("Tc",), ("Te",)]
    again = take(crashing)
    assert again.count("known") == 3
    assert again.count("quarantined") == 2
    assert "(as before)" in again.messages[0]


def test_a_dry_run_survives_a_crash_and_writes_nothing(crashing):
    crashing.orders()
    crashing.deliver("orders_a.csv", f"{HEADER}Ta,2026-01-01,1,SEGFAULT\n")
    crashing.deliver("orders_b.csv", f"{HEADER}Tb,2026-01-01,1,b\n")
    report = take(crashing, dry_run=True)
    assert statuses(report) == {"orders_a.csv": "quarantined", "orders_b.csv": "loaded"}
    assert not Workspace(crashing.root).raw_path.exists()


def test_the_report_is_the_one_of_a_pass_within_the_process(bench, tmp_path):
    other = Bench(tmp_path / "other")
    for one in (bench, other):
        one.orders()
        one.deliver(
            "orders_1.csv", HEADER + "T1,2026-01-01,1,C\nT2,no,1,C\n" + "T3,2026-01-01,,\n" * 40
        )
        one.deliver("orders_2.csv", "")
    seen = []
    inside = bench.ingest()
    outside = take(other, progress=lambda file, done, total: seen.append((file.name, done, total)))
    plain = [(f.name, f.status, f.records, f.rejected, f.messages, f.rows) for f in inside.files]
    assert plain == [
        (f.name, f.status, f.records, f.rejected, f.messages, f.rows)
        for f in sorted(outside.files, key=lambda file: file.name)
    ]
    assert seen == [("orders_2.csv", 1, 2), ("orders_1.csv", 2, 2)]


def test_what_is_told_can_still_be_told_in_french(bench):
    bench.orders()
    bench.deliver("orders.csv", "")
    (file,) = ingest_isolated(Workspace(bench.root), now=NOW).files
    assert told(file.messages[0], translator("fr")).startswith("orders.csv : le fichier est vide ;")


def test_an_error_keeps_its_kind_place_and_remedy(bench):
    (bench.root / "sources" / "x.yml").write_text("source: x\nfeeds: []\n")
    with pytest.raises(SettingsError) as caught:
        take(bench)
    assert "x.yml" in caught.value.where
    assert caught.value.exit_code == 2


def test_the_reading_process_ends_with_its_parent(bench):
    bench.settings(settle_seconds=120)
    bench.orders()
    bench.deliver("orders.csv", HEADER)
    code = (
        "import sys; from pathlib import Path; from cohorte.workspace import Workspace;"
        " from pipelines.isolation import ingest_isolated;"
        " from tests.pipelines.workbench import NOW;"
        " ingest_isolated(Workspace(Path(sys.argv[1])), now=NOW)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(bench.root)], cwd=Path(__file__).parents[2]
    )
    children: list[int] = []
    until = time.monotonic() + 120
    while not children and time.monotonic() < until:
        time.sleep(0.2)
        listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        if not listed.exists():
            pytest.skip("this system does not list children")
        children = [int(pid) for pid in listed.read_text().split()]
    parent.kill()
    parent.wait()
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{children[0]}").exists()
