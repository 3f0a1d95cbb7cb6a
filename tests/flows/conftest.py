"""What the tests of runs share."""

from __future__ import annotations

import pytest

from cohorte.workspace import Workspace


@pytest.fixture(scope="session", autouse=True)
def one_reading_of_the_dbt_project(tmp_path_factory):
    """Workspaces of the tests share what dbt read of the project: seconds saved for each run."""
    folder = tmp_path_factory.mktemp("dbt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workspace, "dbt_target_dir", property(lambda _: folder))
        yield
