"""Reads a collection of texts from a file, a folder of texts, or a table in memory."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import numbers
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger("knowmap")

_FORMATS = ".parquet, .jsonl (or .ndjson), .csv, .tsv, or a folder of .txt files"


@dataclass
class Collection:
    """Texts and what is known about them; all lists are as long as `texts`, or None.

    columns: more to colour and filter a map by, by name: floats (NaN where unknown) or words (None where unknown).
    """

    texts: list[str]
    titles: list[str]
    ids: list[str]
    labels: list[Any] | None = None
    urls: list[str] | None = None
    columns: dict[str, list[float] | list[str | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)


def read_collection(source: Any, *, text: str = "text", title: str | None = None, label: str | None = None,
                    id: str | None = None, url: str | None = None, columns: Sequence[str] = ()) -> Collection:
    """Texts and their titles, labels, ids and links from named columns, and more `columns` of numbers or words.

    source: a path (Parquet, JSON lines, CSV, TSV, a folder of .txt files), a list of str, or a table with named columns
    (pyarrow, pandas, polars, a dict of lists). Without `title`, a column of that name is taken, else the text's first
    words. Rows whose text is null or blank are left out, and counted in `notes`; invalid UTF-8 is read as U+FFFD, and
    counted too. Raises FileNotFoundError, ValueError (naming the columns that there are).
    """
    notes: list[str] = []
    held = _columns(source, text, notes)
    for wanted in (text, title, label, id, url, *columns):
        if wanted is not None and wanted not in held:
            there = ", ".join(map(str, held)) or "none"
            raise ValueError(f"there is no column '{wanted}' in {_name(source)}; it has: {there}")
    title = title or ("title" if "title" in held and text != "title" else None)
    id = id or ("id" if "id" in held and text != "id" else None)
    url = url or ("url" if "url" in held and text != "url" else None)

    lengths = {name: len(held[name]) for name in (text, title, label, id, url, *columns) if name is not None}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{_name(source)} has columns of unequal length: "
                         + ", ".join(f"{name} {length:,}" for name, length in lengths.items()))
    raw = list(held[text])
    wrong = next((i for i, t in enumerate(raw) if not (t is None or t != t or isinstance(t, str))), None)
    if wrong is not None:
        raise ValueError(f"column '{text}' of {_name(source)} holds {type(raw[wrong]).__name__} in row {wrong}, "
                         f"not text; name the column of texts")
    keep = [i for i, t in enumerate(raw) if isinstance(t, str) and t.strip()]
    if len(keep) < len(raw):
        notes.append(f"{len(raw) - len(keep):,} of {len(raw):,} rows have no text and are left out")
    if not keep:
        raise ValueError(f"{_name(source)} holds no text in column '{text}'")
    if text != title and title is None and len(held) > 1:
        notes.append("no title column was named; titles are the texts' first words")

    def pick(name: str) -> list[Any]:
        values = list(held[name])
        return [values[i] for i in keep]

    texts = [_whole(raw[i]) for i in keep]
    halved = sum(t is not raw[i] for t, i in zip(texts, keep, strict=True))
    if halved:
        notes.append(f"{halved:,} of {len(texts):,} texts hold half of a surrogate pair, which is read as \ufffd")
    titles = [_plain(v) or _first_words(t) for v, t in zip(pick(title), texts, strict=True)] if title else [
        _first_words(t) for t in texts]
    ids = [_plain(v) for v in pick(id)] if id else [str(i) for i in keep]
    for note in notes:
        log.warning(note)
    return Collection(texts, titles, ids, pick(label) if label else None,
                      [_plain(v) for v in pick(url)] if url else None,
                      {name: _numbers_or_words(pick(name)) for name in columns}, notes)


def _numbers_or_words(values: list[Any]) -> list[float] | list[str | None]:
    """Floats where every known value is a number, or reads as one; else the values as words."""
    known = [v for v in values if not (v is None or v != v or v == "")]
    try:
        read = {v: float(v) for v in known if isinstance(v, (numbers.Real, str))}
    except ValueError:
        read = {}
    if len(read) == len(set(known)) and all(map(math.isfinite, read.values())):
        return [read.get(v, math.nan) for v in values]
    return [None if v is None or v != v or v == "" else _plain(v) for v in values]


def _name(source: Any) -> str:
    return f"'{os.fspath(source)}'" if isinstance(source, (str, os.PathLike)) else "the table"


def _plain(value: Any) -> str:
    return "" if value is None or value != value else _whole(str(value))


def _whole(text: str) -> str:
    """The text, where it can be written as UTF-8; halves of surrogate pairs, which cannot, become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _first_words(text: str, length: int = 60) -> str:
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else line[:length].rsplit(" ", 1)[0] + " …"


def _columns(source: Any, text: str, notes: list[str]) -> dict[str, Sequence[Any]]:
    if isinstance(source, (str, os.PathLike)):
        return _read_path(Path(source), text, notes)
    if isinstance(source, dict):
        return source
    if isinstance(source, (list, tuple)) and all(isinstance(item, str) or item is None for item in source):
        return {text: source}
    if hasattr(source, "__arrow_c_stream__"):
        import pyarrow

        return _arrow_columns(pyarrow.table(source), notes)
    if hasattr(source, "column_names"):
        return _arrow_columns(source, notes)
    if hasattr(source, "columns"):
        return {str(name): source[name].tolist() for name in source.columns}
    raise ValueError(f"cannot read texts from a {type(source).__name__}; give a path, a list of str, or a table")


def _read_path(path: Path, text: str, notes: list[str]) -> dict[str, Sequence[Any]]:
    if not path.exists():
        raise FileNotFoundError(f"'{path}' does not exist")
    if path.is_dir():
        return _read_folder(path, text, notes)
    if path.stat().st_size == 0:
        raise ValueError(f"'{path}' is empty")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path, notes)
    if suffix in (".jsonl", ".ndjson"):
        return _read_json_lines(path, notes)
    if suffix in (".csv", ".tsv"):
        return _read_csv(path, "\t" if suffix == ".tsv" else ",", notes)
    raise ValueError(f"'{path}' is of no kind that is known; take {_FORMATS}")


def _decode(data: bytes) -> tuple[str, str]:
    """The text, and where it is not valid UTF-8 ("" if it is)."""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        text = data.decode("utf-8-sig", errors="replace")
        places = text.count("\ufffd") - data.count("\ufffd".encode())
        return text, f"{places:,} {'place' if places == 1 else 'places'}, first at byte {error.start:,}"


def _read_folder(folder: Path, text: str, notes: list[str]) -> dict[str, Sequence[Any]]:
    files = sorted(folder.glob("**/*.txt"))
    if not files:
        raise ValueError(f"'{folder}' holds no .txt files")
    texts = []
    broken = []
    for file in files:
        decoded, where = _decode(file.read_bytes())
        texts.append(decoded)
        if where:
            broken.append(file)
    if broken:
        notes.append(f"{len(broken):,} of {len(files):,} files in '{folder}' are not valid UTF-8 "
                     f"(first: '{broken[0]}'); what is broken is read as \ufffd")
    names = [str(file.relative_to(folder)) for file in files]
    return {text: texts, "title": [file.stem for file in files], "id": names}


def _read_parquet(path: Path, notes: list[str]) -> dict[str, Sequence[Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise ValueError(f"'{path}' is no readable Parquet file, perhaps cut short: {error}") from None
    return _arrow_columns(table, notes)


class _ArrowColumn(Sequence[Any]):
    """A column that is turned into Python objects only if it is asked for."""

    def __init__(self, name: str, column: Any, notes: list[str]) -> None:
        self._name = name
        self._column = column
        self._notes = notes

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, i: Any) -> Any:
        return self._column[i].as_py()

    def __iter__(self) -> Any:
        try:
            return iter(self._column.to_pylist())
        except UnicodeDecodeError:  # Arrow does not check what a file claims to be UTF-8
            import pyarrow

            raw = self._column.cast(pyarrow.binary()).to_pylist()
            broken = sum(1 for v in raw if v is not None
                         and v.decode("utf-8", errors="replace").count("\ufffd") > v.count("\ufffd".encode()))
            self._notes.append(f"{broken:,} values of column '{self._name}' are not valid UTF-8; "
                               f"what is broken is read as \ufffd")
            return iter([None if v is None else v.decode("utf-8", errors="replace") for v in raw])


def _arrow_columns(table: Any, notes: list[str]) -> dict[str, Sequence[Any]]:
    _unlike(table.column_names, "the table")
    return {name: _ArrowColumn(name, table.column(i), notes) for i, name in enumerate(table.column_names)}


def _unlike(names: Sequence[str], where: str) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"{where} names a column twice: {', '.join(names)}")


def _read_json_lines(path: Path, notes: list[str]) -> dict[str, Sequence[Any]]:
    rows: list[dict[str, Any]] = []
    broken = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                decoded = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                broken += 1
                decoded = line.decode("utf-8", errors="replace")
            try:
                row = json.loads(decoded)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"'{path}', line {number}: no valid JSON, perhaps cut short ({error})") from None
            if not isinstance(row, dict):
                raise ValueError(f"'{path}', line {number}: expected an object such as {{\"text\": …}}, "
                                 f"got {type(row).__name__}")
            rows.append(row)
    if broken:
        notes.append(f"{broken:,} lines of '{path}' are not valid UTF-8; what is broken is read as \ufffd")
    if not rows:
        raise ValueError(f"'{path}' holds no rows")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_csv(path: Path, delimiter: str, notes: list[str]) -> dict[str, Sequence[Any]]:
    csv.field_size_limit(2**31 - 1)  # a text may be long
    decoded, broken = _decode(path.read_bytes())
    if broken:
        notes.append(f"'{path}' is not valid UTF-8 in {broken}; what is broken is read as \ufffd")
    over = False

    def lines() -> Iterator[str]:
        nonlocal over
        yield from io.StringIO(decoded, newline="")
        over = True
        yield ""  # a row of its own, unless a quote was left open

    reader = csv.reader(lines(), delimiter=delimiter)
    try:
        header = next(reader)
        if not header:
            raise ValueError(f"'{path}' has no header line that names its columns")
        _unlike(header, f"'{path}'")
        columns: list[list[Any]] = [[] for _ in header]
        for row in reader:
            if over:
                break
            if len(row) > len(header):
                raise ValueError(f"'{path}', line {reader.line_num}: {len(row)} fields, the header has {len(header)}; "
                                 f"a text with a comma must stand in quotes")
            for i, column in enumerate(columns if row else []):
                column.append(row[i] if i < len(row) else None)
        else:
            row = header
    except csv.Error as error:
        raise ValueError(f"'{path}', line {reader.line_num}: {error}") from None
    if row:
        raise ValueError(f"'{path}' ends within a quoted field: a quote is not closed, or the file was cut short")
    return dict(zip(header, columns, strict=True))
