"""One dbt process for the tests of the dbt project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dbt.lab import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    laboratory = Lab(tmp_path_factory.mktemp("dbt"))
    with laboratory.session:
        yield laboratory
