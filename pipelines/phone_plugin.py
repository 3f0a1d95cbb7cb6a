"""dbt's door to `pipelines.phones`, apart from it: importing dbt costs a second."""

from __future__ import annotations

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from pipelines.phones import declare


class Plugin(BasePlugin):
    """Gives SQL the function ``phone_e164(text, country, usual_country)``."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        declare(conn)
