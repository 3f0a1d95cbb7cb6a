"""One company, built once, and what an uninterrupted run of it publishes."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cohorte.warehouse import served_version
from cohorte.workspace import Workspace
from pipelines.publish import published_hashes
from tests.faults.child import COUNTING
from tests.faults.harness import company, copy_of, run_with_fault, totals


@pytest.fixture(scope="session")
def shim(tmp_path_factory) -> Path:
    """The library that comes between a run and the disk."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: the faults of the disk cannot be brought about")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"the shim does not compile here: {built.stderr[:200]}")
    return library


@dataclass(frozen=True)
class Undisturbed:
    """Where each case begins, what a run undisturbed publishes from there, and how many writes
    each of its stations makes."""

    start: Workspace
    hashes: str
    before: tuple
    after: tuple
    writes: dict[str, int]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, shim) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    start = company(folder / "start")
    finished = copy_of(start, folder / "finished")
    ended = run_with_fault(finished, shim, folder, COUNTING, "all", 0)
    assert ended.code == 0, ended.complaint
    return Undisturbed(
        start=start,
        hashes=published_hashes(served_version(finished)),
        before=totals(start),
        after=totals(finished),
        writes=ended.told["counts"],
    )
