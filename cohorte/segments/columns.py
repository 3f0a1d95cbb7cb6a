"""Columns of the profiles held in memory as small numbers, so that a clause need not read them.

A column with few values (most have: cities, ages, segments, flags) becomes one or two bytes a
customer, by customer number. A clause is then asked of its values alone, by the same SQL as of the
profiles, and a look-up by number says who has them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST_VALUES = 60_000
CODE = "code"
_TOLD = "values_told"


@dataclass(frozen=True)
class HeldColumn:
    """A column's values, each once, null included, and which of them each customer has.

    The values are the table `relation`, beside the numbers that codes mean.
    """

    con: duckdb.DuckDBPyConnection
    relation: str
    values_count: int
    codes: npt.NDArray[np.unsignedinteger]

    def having(self, select: str, parameters: Mapping[str, object]) -> npt.NDArray[np.bool_]:
        """Of each customer, whether the value is one of those that a SELECT of codes finds."""
        found = self.con.cursor().execute(select, parameters).fetchnumpy()[CODE]
        wanted = np.zeros(max(256, self.values_count + 1), np.bool_)
        wanted[found] = True
        if self.codes.dtype == np.uint8:  # byte by byte: half the time of looking them up
            return np.frombuffer(self.codes.tobytes().translate(wanted.tobytes()), np.bool_)
        return np.take(wanted, self.codes, mode="clip")  # as wanted[codes], in half the time


class HeldColumns:
    """The columns held for a version, by relation and name. Shared by threads.

    A column that is read is held when it is asked of again: holding costs a few times a reading.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], HeldColumn | None] = {}
        self._read: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._values: duckdb.DuckDBPyConnection | None = None

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
        column = self._hold(con, relation, name, size)
        with self._lock:
            self._held[key] = column
        return column

    def _hold(
        self, con: duckdb.DuckDBPyConnection, relation: str, name: str, size: int
    ) -> HeldColumn | None:
        values = con.sql(
            f'select distinct "{name}" from {relation} limit {MOST_VALUES + 1}'
        ).to_arrow_table()
        if values.num_rows > MOST_VALUES:
            return None
        values = values.append_column(CODE, pa.array(range(values.num_rows), pa.int32()))
        con.register(_TOLD, values)
        try:
            found = con.execute(
                f"select profiles.customer_number, told.{CODE} from {relation} as profiles"
                f" inner join {_TOLD} as told"
                f' on profiles."{name}" is not distinct from told."{name}"'
            ).fetchnumpy()
        finally:
            con.unregister(_TOLD)
        width = np.uint8 if values.num_rows < 256 else np.uint16
        none = values.num_rows  # of who is not in the relation
        codes: npt.NDArray[np.unsignedinteger] = np.full(size, none, width)
        codes[found["customer_number"]] = found[CODE]
        with self._lock:
            if self._values is None:
                self._values = duckdb.connect(config={"threads": 1})
            held, kept = f"held_{uuid4().hex}", self._values.cursor()
        kept.register(_TOLD, values)
        kept.execute(f"create table {held} as from {_TOLD}")
        kept.unregister(_TOLD)
        return HeldColumn(kept, held, values.num_rows, codes)
