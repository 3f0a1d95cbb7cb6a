"""A disk that is full in truth: a small file system of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from cohorte.warehouse import served_version
from cohorte.workspace import open_workspace
from pipelines.publish import published_hashes
from tests.faults.harness import REPOSITORY, Reader, run

ROOM = {"little": 300_000, "for_the_first_stations": 2_500_000, "for_most": 6_000_000}


@contextmanager
def disk(folder: Path, size: int):
    """A file system of a size in memory; skips where the test may not mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a file system of the test's own may not be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize("room", ROOM)
def test_a_disk_that_fills_costs_the_run_and_nothing_else(undisturbed, tmp_path, room):
    folder = tmp_path / "disk"
    used = sum(path.stat().st_size for path in undisturbed.start.root.rglob("*") if path.is_file())
    with disk(folder, used + ROOM[room] + 1_000_000):
        root = folder / "company"
        shutil.copytree(undisturbed.start.root, root)
        free = shutil.disk_usage(folder).free
        with (folder / "ballast").open("wb") as ballast:
            ballast.write(b"x" * max(0, free - ROOM[room]))
        workspace = open_workspace(root)
        with Reader(workspace) as reader:
            ended = subprocess.run(
                [sys.executable, "-m", "flows.cli", "run", "--plain", "--json", "-w", str(root)],
                cwd=REPOSITORY,
                env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                capture_output=True,
                text=True,
                check=False,
            )
            if ended.returncode:
                assert served_version(workspace).version == "v1"
                assert "cohorte:" in ended.stderr
            else:
                assert json.loads(ended.stdout)["status"] == "succeeded"
            (folder / "ballast").unlink()
            subprocess.run(["mount", "-o", "remount,size=500m", str(folder)], check=True)
            after = run(workspace)
        assert published_hashes(after.version) == undisturbed.hashes
        assert reader.failures == []
        assert {seen[1:] for seen in reader.seen} <= {
            undisturbed.before[1:],
            undisturbed.after[1:],
        }
