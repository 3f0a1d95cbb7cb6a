"""A file never seen: of which kind it is, how it reads, how sure that is, and its first rows.

The kind is told by the first bytes, never by the name alone. What a text's dialect may be is tried
and counted: the share of rows that a delimiter gives as many fields as the header has.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cohorte.errors import SourceError
from cohorte.said import said
from pipelines.connectors.archive import GZIP_MARK, ZIP_MARK, first_bytes, members
from pipelines.connectors.dialect import DELIMITERS
from pipelines.connectors.inspection import BYTE_ORDER_MARKS
from pipelines.connectors.json_lines import path_below

SAMPLE_BYTES = 4_000_000
SAMPLE_ROWS = 5_000
TITLE_ROWS = 12
SURE = 0.95
OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
# Letters of French and their neighbours: what they look like in the wrong code page is not these.
LETTERS = frozenset("éèàçêùôîïâûëœÉÈÀÇÊÔ°’ãõáíóúñöüßä€")


@dataclass(frozen=True)
class Guess:
    """A thing found out about a file, and how sure it is, from 0 to 1."""

    name: str
    value: Any
    sure: float


@dataclass
class Sample:
    """What is known of a file: how a feed would declare it, and its first rows as texts.

    ``columns`` are names as a mapping writes them. ``declared`` are the feed's keys. ``total`` is
    the number of rows read, the whole when ``is_whole``.
    """

    path: Path
    format: str
    columns: list[str]
    rows: list[list[str | None]]
    declared: dict[str, Any] = field(default_factory=dict)
    guesses: list[Guess] = field(default_factory=list)
    is_whole: bool = True
    lists: dict[str, list[str]] = field(default_factory=dict)
    elements: dict[str, list[list[str | None]]] = field(default_factory=dict)

    @property
    def sheet(self) -> str | None:
        """The sheet of a workbook with several."""
        return self.declared.get("sheet")

    @property
    def title(self) -> str:
        """What names the rows: the sheet, else the file."""
        return self.sheet or self.path.name.partition(".")[0]

    def values(self, column: str) -> list[str | None]:
        """The values of a column in the sample, null ones included."""
        for path, names in self.lists.items():
            if column in names:
                place = names.index(column)
                return [row[place] for row in self.elements[path]]
        place = self.columns.index(column)
        return [row[place] for row in self.rows]


def read_samples(path: Path) -> list[Sample]:
    """The first rows of a file, of a workbook those of every sheet with a table.

    Raises SourceError when it is of no kind that can be read so.
    """
    if not path.is_file():
        raise SourceError(
            said("there is no such file"), where=str(path), remedy=said("correct the path")
        )
    if path.stat().st_size == 0:
        raise SourceError(
            said("the file is empty"), where=path.name, remedy=said("export it again")
        )
    head = first_bytes(path, 8)
    if head.startswith(b"PAR1"):
        return [_parquet(path)]
    if head.startswith(OLD_WORKBOOK) or (head.startswith(ZIP_MARK) and _is_workbook(path)):
        return _excel(path)
    data, is_whole = _first_data(path, head)
    text, guesses, declared = _decoded(data, is_whole, path)
    stripped = text.lstrip()
    if stripped[:1] == "{" or stripped[:1] == "[":
        found = _json(path, text, stripped, is_whole)
        if found is not None:
            found.guesses = [*guesses, *found.guesses]
            return [found]
    return [_delimited(path, text, guesses, declared, is_whole)]


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return False
    return any(name in ("[Content_Types].xml", "mimetype") for name in names)


def _first_data(path: Path, head: bytes) -> tuple[bytes, bool]:
    """The first bytes of the text, unpacked, and whether they are all."""
    if head.startswith(GZIP_MARK):
        with gzip.open(path, "rb") as packed:
            data = packed.read(SAMPLE_BYTES + 1)
    elif head.startswith(ZIP_MARK):
        first = members(path, path.name)[0]
        with zipfile.ZipFile(path) as archive, archive.open(first.name) as member:
            data = member.read(SAMPLE_BYTES + 1)
    else:
        with path.open("rb") as file:
            data = file.read(SAMPLE_BYTES + 1)
    return data[:SAMPLE_BYTES], len(data) <= SAMPLE_BYTES


def _decoded(data: bytes, is_whole: bool, path: Path) -> tuple[str, list[Guess], dict[str, Any]]:
    """The text, how it is encoded, and what of it a feed must declare."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            text = codecs.getincrementaldecoder(encoding)("replace").decode(data)
            return text.removeprefix("\ufeff"), [Guess("encoding", encoding, 1.0)], {}
    if data.count(b"\0") > len(data) // 4:
        encoding = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
        text = data.decode(encoding, "replace")
        return text, [Guess("encoding", encoding, 0.9)], {"encoding": encoding}
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=is_whole)
        return text, [Guess("encoding", "utf-8", 1.0)], {}
    except UnicodeDecodeError:
        pass
    if data.count(b"\x40") > data.count(b" ") and data.count(b"\x40") > len(data) // 20:
        raise SourceError(
            said("the file looks like EBCDIC, which cannot be told from its bytes alone"),
            where=path.name,
            remedy=said(
                "write the source by hand: format: fixed_width, encoding: cp1147, fields: [..]"
            ),
        )
    scores = {}
    for encoding in ("cp1252", "cp850"):
        foreign = [c for c in data.decode(encoding, "replace") if ord(c) > 127]
        scores[encoding] = sum(c in LETTERS for c in foreign) / max(1, len(foreign))
    encoding = max(scores, key=lambda name: scores[name])
    sure = min(0.95, 0.5 + abs(scores["cp1252"] - scores["cp850"]) / 2)
    declared = {"encoding": encoding}
    return data.decode(encoding, "replace"), [Guess("encoding", encoding, sure)], declared


def _delimited(
    path: Path, text: str, guesses: list[Guess], declared: dict[str, Any], is_whole: bool
) -> Sample:
    end = "\r" if "\n" not in text and "\r" in text else "\n"
    if not is_whole:
        text = text[: text.rfind(end) + 1]
    if end == "\r":
        text = text.replace("\r", "\n")
    tried = []
    for delimiter in DELIMITERS:
        rows = _split(text, delimiter)
        if not rows:
            continue
        width, share = _usual_width(rows)
        if width > 1:
            tried.append((share, width, delimiter, rows))
    if not tried and (fixed := _fixed_width(path, text, guesses, declared, is_whole)):
        return fixed
    if not tried:
        raise SourceError(
            said("no delimiter splits the file into columns"),
            where=path.name,
            remedy=said(
                "if its columns have fixed places, write the source by hand with format:"
                " fixed_width and fields; else see that it is a table"
            ),
        )
    tried.sort(key=lambda one: (one[0] >= SURE, one[1] if one[0] >= SURE else one[0]), reverse=True)
    share, width, delimiter, rows = tried[0]
    header = _header_place(rows, width)
    has_header = header is not None
    start = 0 if header is None else header
    line = _physical_line(text, rows, start)
    names = _names(rows[start]) if has_header else [f"column_{n}" for n in range(1, width + 1)]
    body = [row for row in rows[start + has_header :] if len(row) == width]
    guesses = [
        *guesses,
        Guess("delimiter", delimiter, round(share, 3)),
        Guess("header_row", line if has_header else 0, 1.0 if has_header else 0.6),
    ]
    declared = declared | {"delimiter": delimiter}
    if not has_header:
        declared |= {"header": False, "columns": names}
    elif line > 1:
        declared["header_row"] = line
    return Sample(
        path=path,
        format="delimited",
        columns=names,
        rows=[[cell.strip() or None for cell in row] for row in body[:SAMPLE_ROWS]],
        declared=declared,
        guesses=guesses,
        is_whole=is_whole and len(body) <= SAMPLE_ROWS,
    )


def _fixed_width(
    path: Path, text: str, guesses: list[Guess], declared: dict[str, Any], is_whole: bool
) -> Sample | None:
    """Fields by the places that are blank in every line; none where there are not two."""
    lines = [line for line in text.split("\n") if line.strip()][:SAMPLE_ROWS]
    width = max(len(line) for line in lines)
    padded = [line.rstrip("\r").ljust(width) for line in lines]
    is_text = [any(line[place] != " " for line in padded) for place in range(width)]
    ends = [p + 1 for p in range(width) if is_text[p] and (p + 1 == width or not is_text[p + 1])]
    if len(ends) < 2 or len(lines) < 5:
        return None
    places = list(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True))
    fields = [
        {"name": f"column_{n}", "start": start + 1, "length": end - start}
        for n, (start, end) in enumerate(places, start=1)
    ]
    return Sample(
        path=path,
        format="fixed_width",
        columns=[str(field["name"]) for field in fields],
        rows=[[line[start:end].strip() or None for start, end in places] for line in padded],
        declared=declared | {"format": "fixed_width", "fields": fields},
        guesses=[*guesses, Guess("fields", len(fields), 0.8)],
        is_whole=is_whole and len(lines) < SAMPLE_ROWS,
    )


def _split(text: str, delimiter: str) -> list[list[str]]:
    """The first rows, blank ones left out; fewer when a quote stays open."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > SAMPLE_ROWS + TITLE_ROWS:
                break
    except csv.Error:
        pass
    return rows


def _usual_width(rows: Sequence[Sequence[str]]) -> tuple[int, float]:
    """How many fields most rows have, and their share; title rows at the top do not count."""
    widths = Counter(len(row) for row in rows)
    width, count = widths.most_common(1)[0]
    return width, count / len(rows)


def _header_place(rows: Sequence[Sequence[str]], width: int) -> int | None:
    """The first row of the usual width whose cells are distinct words, unlike those below."""
    for place, row in enumerate(rows[:TITLE_ROWS]):
        if len(row) != width:
            continue
        cells = [cell.strip() for cell in row]
        filled = [cell for cell in cells if cell]
        if len(filled) < max(2, 0.6 * width):
            continue
        wordlike = sum(
            not any(c.isdigit() for c in cell[:1]) and "@" not in cell for cell in filled
        )
        if len(set(filled)) == len(filled) and wordlike == len(filled):
            return place
        return None
    return None


def _physical_line(text: str, rows: Sequence[Sequence[str]], place: int) -> int:
    """The line that a row starts on, blank lines and title rows before it counted."""
    if place == 0 and not text.startswith(("\n", "\r\n")):
        return 1
    wanted = rows[place][0].strip()
    for number, line in enumerate(text.split("\n")[: TITLE_ROWS * 3], start=1):
        if line.lstrip('"').startswith(wanted) and number > place:
            return number
    return place + 1


def _names(cells: Sequence[str | None]) -> list[str]:
    return [(cell or "").strip() or f"column_{n}" for n, cell in enumerate(cells, start=1)]


def _excel(path: Path) -> list[Sample]:
    import fastexcel

    try:
        workbook = fastexcel.read_excel(str(path))
        found: list[tuple[str, int, list[list[str | None]]]] = []
        for name in workbook.sheet_names:
            sheet = workbook.load_sheet(
                name, header_row=None, skip_rows=0, n_rows=SAMPLE_ROWS + 30, dtypes="string"
            )
            rows = list(map(list, zip(*sheet.to_arrow().to_pydict().values(), strict=True)))
            header = _sheet_header(rows)
            if header is not None and len(rows) > header + 1:
                found.append((name, header, rows))
    except fastexcel.FastExcelError as error:
        raise SourceError(
            said("it does not read as a workbook: {value}", value=str(error).partition(chr(10))[0]),
            where=path.name,
            remedy=said("save it again as .xlsx"),
        ) from None
    if not found:
        raise SourceError(
            said("no sheet holds a table with a header"),
            where=path.name,
            remedy=said("export it again"),
        )
    has_several = len(workbook.sheet_names) > 1
    return [
        _sheet(path, name if has_several else None, header, rows) for name, header, rows in found
    ]


def _sheet(path: Path, name: str | None, header: int, rows: list[list[str | None]]) -> Sample:
    kept = [n for n, cell in enumerate(rows[header]) if (cell or "").strip()]
    declared: dict[str, Any] = {"format": "excel"}
    guesses = [Guess("header_row", header + 1, 0.9 if header else 1.0)]
    if name is not None:
        declared["sheet"] = name
    if header:
        declared["header_row"] = header + 1
    body = [[row[n] for n in kept] for row in rows[header + 1 :]]
    return Sample(
        path=path,
        format="excel",
        columns=_names([rows[header][n] for n in kept]),
        rows=[row for row in body if any(cell is not None for cell in row)][:SAMPLE_ROWS],
        declared=declared,
        guesses=guesses,
        is_whole=len(body) <= SAMPLE_ROWS,
    )


def _sheet_header(rows: Sequence[Sequence[str | None]]) -> int | None:
    """The row with the most cells among the first, where these are distinct words.

    Merged titles fill one or two cells of a row.
    """
    best: tuple[int, int] | None = None
    for place, row in enumerate(rows[: TITLE_ROWS * 2]):
        filled = [cell.strip() for cell in row if cell and cell.strip()]
        words = sum(not cell[:1].isdigit() for cell in filled)
        is_header = len(set(filled)) == len(filled) >= 2 and words >= 0.8 * len(filled)
        if is_header and (best is None or len(filled) > best[0]):
            best = (len(filled), place)
    return None if best is None else best[1]


def _parquet(path: Path) -> Sample:
    import polars as pl

    try:
        table = pl.scan_parquet(path).head(SAMPLE_ROWS + 1).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(
            said("it does not read as Parquet: {value}", value=str(error).partition(chr(10))[0]),
            where=path.name,
            remedy=said("export it again"),
        ) from None
    rows = [[None if cell is None else str(cell) for cell in row] for row in table.rows()]
    return Sample(
        path=path,
        format="parquet",
        columns=table.columns,
        rows=rows[:SAMPLE_ROWS],
        declared={"format": "parquet"},
        is_whole=len(rows) <= SAMPLE_ROWS,
    )


def _json(path: Path, text: str, stripped: str, is_whole: bool) -> Sample | None:
    """JSON lines, or a document with a list of objects; none when it is neither."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not is_whole:
        lines = lines[:-1]
    records = _objects(lines[:SAMPLE_ROWS])
    declared: dict[str, Any] = {"format": "json_lines"}
    if not records:
        try:
            document = json.loads(
                path.read_bytes() if is_whole else path.read_text(), parse_float=str
            )
        except ValueError:
            return None
        found = _list_of_objects(document, "$")
        if found is None:
            return None
        place, records = found
        declared = {"format": "json"} | ({"records": place} if place != "$" else {})
    elif len(records) == 1 and (found := _list_of_objects(records[0], "$")) and len(found[1]) > 1:
        place, records = found
        declared = {"format": "json", "records": place}
    return _flattened(path, records, declared, is_whole and len(records) <= SAMPLE_ROWS)


def _objects(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The lines that are JSON objects, where nearly all are; none where they are no JSON lines."""
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(json.loads(line, parse_float=str))
    objects = [one for one in found if isinstance(one, dict)]
    return objects if len(objects) >= SURE * len(lines) else []


def _list_of_objects(value: Any, place: str) -> tuple[str, list[Any]] | None:
    """The largest list of objects in a document, by its path."""
    if isinstance(value, list):
        return (place, value) if value and isinstance(value[0], dict) else None
    if not isinstance(value, dict):
        return None
    found = [_list_of_objects(inner, path_below(place, key)) for key, inner in value.items()]
    return max((one for one in found if one), key=lambda one: len(one[1]), default=None)


def _flattened(path: Path, records: list[Any], declared: dict[str, Any], is_whole: bool) -> Sample:
    """Objects as rows of paths; lists of objects as rows of their own."""
    columns: dict[str, None] = {}
    lists: dict[str, dict[str, None]] = {}
    flat: list[dict[str, Any]] = []
    elements: dict[str, list[dict[str, Any]]] = {}
    for record in records[:SAMPLE_ROWS]:
        row: dict[str, Any] = {}
        _flatten(record, "$", row)
        for place, value in list(row.items()):
            if isinstance(value, list):
                del row[place]
                if value and isinstance(value[0], dict):
                    for element in value:
                        inner: dict[str, Any] = {}
                        _flatten(element, "@", inner)
                        inner = {k: v for k, v in inner.items() if not isinstance(v, list)}
                        lists.setdefault(place, {}).update(dict.fromkeys(inner))
                        elements.setdefault(place, []).append(inner)
        columns.update(dict.fromkeys(row))
        flat.append(row)
    names = list(columns)
    return Sample(
        path=path,
        format=declared["format"],
        columns=names,
        rows=[[_text(row.get(name)) for name in names] for row in flat],
        declared=declared,
        guesses=[Guess("format", declared["format"], 1.0)],
        is_whole=is_whole,
        lists={place: list(inner) for place, inner in lists.items()},
        elements={
            place: [[_text(row.get(name)) for name in lists[place]] for row in rows]
            for place, rows in elements.items()
        },
    )


def _flatten(value: Any, place: str, into: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(inner, path_below(place, key), into)
    else:
        into[place] = value


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
