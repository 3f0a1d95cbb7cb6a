"""Connectors: a file or a query becomes rows in a temporary table, and what was refused."""

from __future__ import annotations

from pathlib import Path

import duckdb

from cohorte.sources import Feed
from pipelines.connectors.extract import Delivery, Extract


def extract_whole(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> Extract:
    """Read one delivery of any format but delimited text, whose files may be read together.

    Raises QuarantineError when it is not what the feed declares.
    """
    match feed.format:
        case "parquet":
            from pipelines.connectors.parquet import extract_parquet

            return extract_parquet(connection, delivery, feed)
        case "json_lines":
            from pipelines.connectors.json_lines import extract_json_lines

            return extract_json_lines(connection, delivery, feed, temp_dir)
        case "excel":
            from pipelines.connectors.excel import extract_excel

            return extract_excel(connection, delivery, feed)
        case "database":
            from pipelines.connectors.database import extract_query

            return extract_query(connection, delivery, feed)
        case "delimited":
            raise AssertionError("delimited text is read by connectors.delimited")
