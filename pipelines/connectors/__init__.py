"""Connectors: a file or a query becomes rows in a temporary table, and what was refused."""

from __future__ import annotations

from pipelines.connectors import database, delimited, excel, json_lines, parquet
from pipelines.connectors.extract import Connector

CONNECTORS: dict[str, Connector] = {
    "delimited": delimited,
    "excel": excel,
    "json_lines": json_lines,
    "parquet": parquet,
    "database": database,
}
