"""A PostgreSQL for the tests of the store; they are skipped where none is installed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
import sqlalchemy

from cohorte.store.store import with_driver
from tests.support.servers import postgresql


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture
def postgresql_store(postgresql_server: str) -> str:
    """The address of a new, empty database."""
    name = f"store_{uuid4().hex}"
    engine = sqlalchemy.create_engine(with_driver(postgresql_server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'create database "{name}"')
    engine.dispose()
    return postgresql_server.replace("/postgres?", f"/{name}?")
