"""What the tests of runs share."""

from __future__ import annotations

import multiprocessing

import pytest

from cohorte.workspace import Workspace
from pipelines.dbt_session import DbtSession
from tests.support import dbt_ready


@pytest.fixture(scope="session", autouse=True)
def one_reading_of_the_dbt_project(tmp_path_factory):
    """The runs of the tests share what dbt read of the project: seconds saved for each."""
    folder = tmp_path_factory.mktemp("dbt")
    multiprocessing.get_context("forkserver").set_forkserver_preload([dbt_ready.__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(dbt_ready.TARGET, str(folder))
        patch.setattr(Workspace, "dbt_target_dir", property(lambda _: folder))
        patch.setattr(DbtSession, "_start", dbt_ready.starter(folder, DbtSession._start))
        yield
