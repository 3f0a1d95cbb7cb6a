"""The truth, kept apart from the sources: for tests and benchmarks, never for the product."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.demo.randomness import Numbers
from pipelines.demo.writers import write_parquet


@dataclass
class Truth:
    """Collects who is behind each record, what each order was, and which rows are bad.

    Persons are positions; −1 is nobody known (a passer-by, a test record).
    """

    records: list[pl.DataFrame] = field(default_factory=list)
    orders: list[pl.DataFrame] = field(default_factory=list)
    bad_rows: list[pl.DataFrame] = field(default_factory=list)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)

    def add_records(self, source: str, entity: str, ids: pl.Series, person: Numbers) -> None:
        """``person`` is behind each record of an entity of a source."""
        self.records.append(
            pl.DataFrame(
                {
                    "source": pl.Series([source]).new_from_index(0, len(ids)),
                    "entity": pl.Series([entity]).new_from_index(0, len(ids)),
                    "record_id": ids,
                    "person_id": pl.Series(np.asarray(person, dtype=np.int32)),
                }
            ).with_columns(pl.col("source", "entity").cast(pl.Categorical))
        )

    def add_bad_rows(self, source: str, feed: str, file: str, lines: Numbers, reason: str) -> None:
        """Rows spoilt on purpose; ``lines`` count from 1, the header included."""
        self.bad_rows.append(
            pl.DataFrame({"line": pl.Series(np.asarray(lines, dtype=np.int64))}).select(
                source=pl.lit(source),
                feed=pl.lit(feed),
                file=pl.lit(file),
                line="line",
                reason=pl.lit(reason),
            )
        )

    def write(self, folder: Path) -> None:
        """One Parquet file a table; nobody is null instead of −1."""
        somebody = pl.when(pl.col("person_id") >= 0).then("person_id")
        if self.records:
            together = pl.concat(self.records, rechunk=False)
            write_parquet(together.with_columns(somebody), folder / "records.parquet")
        if self.orders:
            together = pl.concat(self.orders, rechunk=False)
            write_parquet(together.with_columns(somebody), folder / "orders.parquet")
        empty = pl.DataFrame(
            schema={
                "source": pl.String,
                "feed": pl.String,
                "file": pl.String,
                "line": pl.Int64,
                "reason": pl.String,
            }
        )
        write_parquet(pl.concat([empty, *self.bad_rows]), folder / "bad_rows.parquet")
        for name, frame in self.tables.items():
            write_parquet(frame, folder / f"{name}.parquet")
