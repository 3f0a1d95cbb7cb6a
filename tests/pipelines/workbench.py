"""A workspace of one source, made from texts, and what its ingestion leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml

from cohorte.warehouse import connect_reader
from cohorte.workspace import Workspace
from pipelines.ingest import FileReport, IngestReport, ingest

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

ORDERS = {
    "orders": {
        "columns": {
            "order_id": "Ticket",
            "ordered_at": "Date",
            "gross_amount": "Montant",
            "contact_id": "Client",
        }
    }
}


def instant(text: str) -> datetime:
    """An instant as the raw database gives it: UTC, without saying so."""
    return datetime.fromisoformat(text)


class Bench:
    """One source, ``shop``, whose files lie in the inbox."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inbox = root / "inbox"
        self.inbox.mkdir(parents=True)
        (root / "sources").mkdir()
        self.settings()

    def settings(self, **settings: Any) -> None:
        usual = {"company": "Test", "time_zone": "UTC", "threads": 1, "settle_seconds": 0}
        declared = usual | settings
        (self.root / "cohorte.yml").write_text(yaml.safe_dump(declared), encoding="utf-8")

    def source(self, *feeds: dict[str, Any], name: str = "shop", **keys: Any) -> None:
        declared = {"source": name, "feeds": list(feeds)} | keys
        path = self.root / "sources" / f"{name}.yml"
        path.write_text(
            yaml.safe_dump(declared, allow_unicode=True, sort_keys=False), encoding="utf-8"
        )

    def orders(self, files: str | list[str] = "orders*.csv", **keys: Any) -> None:
        """A source with one feed of orders."""
        self.source(order_feed(files, **keys))

    def deliver(self, name: str, content: str | bytes) -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @staticmethod
    def again(root: str) -> IngestReport:
        """Take in a workspace that is there already."""
        return ingest(Workspace(Path(root)), now=NOW)

    def ingest(self, **options: Any) -> IngestReport:
        now = options.pop("now", NOW)
        return ingest(Workspace(self.root), now=now, **options)

    def ingest_one(self, name: str, content: str | bytes) -> FileReport:
        """Deliver a file and take it in; what became of it."""
        self.deliver(name, content)
        return next(file for file in self.ingest().files if file.name == name)

    @contextmanager
    def raw(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = connect_reader(Workspace(self.root).raw_path)
        try:
            yield connection
        finally:
            connection.close()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer of the raw database."""
        with self.raw() as connection:
            return connection.execute(sql).fetchall()


def order_feed(files: str | list[str] = "orders*.csv", **keys: Any) -> dict[str, Any]:
    return {"feed": "orders", "files": files, "entities": ORDERS} | keys
