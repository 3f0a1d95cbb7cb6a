"""Connectors: a file or a query becomes rows in a temporary table, and what was refused."""

from __future__ import annotations

from pipelines.connectors import database, delimited, excel, fixed_width, json_lines, parquet, rest
from pipelines.connectors.extract import Connector

CONNECTORS: dict[str, Connector] = {
    "delimited": delimited,
    "fixed_width": fixed_width,
    "excel": excel,
    "json": json_lines,
    "json_lines": json_lines,
    "parquet": parquet,
    "database": database,
    "rest": rest,
}
