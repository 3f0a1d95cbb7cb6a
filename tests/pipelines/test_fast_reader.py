"""Clean files are read by DuckDB's reader, whatever ends their lines."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime

import duckdb
import pytest

from pipelines.ingest import ingest
from tests.support.workspaces import ORDERS, small_shop

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CR LF"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_a_clean_file_takes_the_fast_way(tmp_path, line_end, encoding):
    workspace = small_shop(tmp_path)
    text = ORDERS.replace("Thé", "« Thé »").replace("\n", line_end)
    (workspace.inbox_dir / "orders.csv").write_bytes(text.encode(encoding))
    report = ingest(workspace, now=NOW)
    assert report.rejected == 0
    with closing(duckdb.connect(str(workspace.raw_path), read_only=True)) as raw:
        dialects = raw.execute("select dialect, records from files where feed = 'orders'")
        (dialect, records), *_ = dialects.fetchall()
        names = raw.execute("select product_name from order_lines order by _line").fetchall()
    assert (json.loads(dialect)["reader"], records) == ("fast", 6)
    assert names[0] == ("« Thé »",)
