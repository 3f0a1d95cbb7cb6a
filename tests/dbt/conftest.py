"""One dbt process, and one built company, for the tests of the dbt project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dbt.company_rows import COMPANY, CUSTOMERS, SOURCES
from tests.dbt.lab import Lab, Outcome


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    laboratory = Lab(tmp_path_factory.mktemp("dbt"))
    with laboratory.session:
        yield laboratory


@pytest.fixture(scope="session")
def company(lab: Lab) -> Outcome:
    """What the company's rows build to; nothing writes to it afterwards."""
    return lab.build(COMPANY, customers=CUSTOMERS, sources=SOURCES)
