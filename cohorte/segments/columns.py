"""Columns of the profiles held in memory as small numbers, so that a clause need not read them.

A column with few values (most have: cities, ages, segments, flags) becomes one or two bytes a
customer, by customer number. A clause is then asked of its values alone, by the same SQL as of the
profiles, and a look-up by number says who has them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST_VALUES = 60_000
HELD = "held_values"
CODE = "code"


@dataclass(frozen=True)
class HeldColumn:
    """A column's values, each once, null included, and which of them each customer has."""

    values: pa.Table
    codes: npt.NDArray[np.unsignedinteger]

    def having(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Of each customer, whether the value is one of those."""
        wanted = np.zeros(self.values.num_rows + 1, np.bool_)
        wanted[codes] = True
        return np.take(wanted, self.codes, mode="clip")  # as wanted[codes], in half the time


class HeldColumns:
    """The columns held for a version, by relation and name. Shared by threads.

    A column that is read is held when it is asked of again: holding costs a few times a reading.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], HeldColumn | None] = {}
        self._read: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def was_read(self, relation: str, name: str) -> None:
        with self._lock:
            self._read.add((relation, name))

    def find(
        self, con: duckdb.DuckDBPyConnection, relation: str, name: str, size: int
    ) -> HeldColumn | None:
        """The column; None when it was not read before, or has too many values."""
        key = (relation, name)
        with self._lock:
            if key in self._held:
                return self._held[key]
            if key not in self._read:
                return None
        column = _hold(con, relation, name, size)
        with self._lock:
            self._held[key] = column
        return column


def _hold(con: duckdb.DuckDBPyConnection, relation: str, name: str, size: int) -> HeldColumn | None:
    values = con.sql(
        f'select distinct "{name}" from {relation} limit {MOST_VALUES + 1}'
    ).to_arrow_table()
    if values.num_rows > MOST_VALUES:
        return None
    values = values.append_column(CODE, pa.array(range(values.num_rows), pa.int32()))
    con.register(HELD, values)
    try:
        found = con.execute(
            f"select profiles.customer_number, held.{CODE} from {relation} as profiles"
            f' inner join {HELD} as held on profiles."{name}" is not distinct from held."{name}"'
        ).fetchnumpy()
    finally:
        con.unregister(HELD)
    width = np.uint8 if values.num_rows < 256 else np.uint16
    none = values.num_rows  # of who is not in the relation
    codes: npt.NDArray[np.unsignedinteger] = np.full(size, none, width)
    codes[found["customer_number"]] = found[CODE]
    return HeldColumn(values, codes)
