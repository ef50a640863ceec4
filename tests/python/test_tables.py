"""Reading a collection: every kind of input, and every way in which one can be broken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from knowmap.tables import read_collection

TEXTS = ["The fox is a small wild dog.", 'He said "no",\nand left.', "Ökonomie, 経済, اقتصاد 🙂"]
TITLES = ["Fox", "A, B", "Économie"]
BROKEN = "\ufffd"


def columns() -> dict[str, list]:
    return {"text": list(TEXTS), "title": list(TITLES), "id": ["a", "b", "c"], "topic": ["x", None, "y"],
            "url": ["https://a.org/1", None, "https://a.org/3"]}


class FrameOfOldPandas:
    """What a data frame without Arrow's interface shows."""

    class Column:
        def __init__(self, values):
            self._values = np.array(values, dtype=object)

        def tolist(self):
            return self._values.tolist()

    def __init__(self, held):
        self._held = held
        self.columns = list(held)

    def __getitem__(self, name):
        return self.Column(self._held[name])


class FrameOfNewPandas:
    """What pandas ≥ 2.2 and polars show."""

    def __init__(self, held):
        self._table = pa.table(held)
        self.columns = list(held)

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def as_parquet(folder: Path, held: dict) -> Path:
    pq.write_table(pa.table(held), folder / "c.parquet")
    return folder / "c.parquet"


def as_json_lines(folder: Path, held: dict, name: str = "c.jsonl") -> Path:
    rows = [dict(zip(held, row, strict=True)) for row in zip(*held.values(), strict=True)]
    (folder / name).write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return folder / name


def as_csv(folder: Path, held: dict, name: str = "c.csv") -> Path:
    options = pa.csv.WriteOptions(delimiter="\t" if name.endswith(".tsv") else ",")
    pa.csv.write_csv(pa.table(held), folder / name, options)
    return folder / name


KINDS = {
    "parquet": as_parquet,
    "jsonl": as_json_lines,
    "ndjson": lambda folder, held: as_json_lines(folder, held, "c.ndjson"),
    "csv": as_csv,
    "tsv": lambda folder, held: as_csv(folder, held, "c.tsv"),
    "capital suffix": lambda folder, held: as_csv(folder, held, "C.CSV"),
    "path as a str": lambda folder, held: str(as_csv(folder, held)),
    "dict": lambda folder, held: held,
    "dict of arrays": lambda folder, held: {k: np.array(v, dtype=object) for k, v in held.items()},
    "pyarrow table": lambda folder, held: pa.table(held),
    "pyarrow batches": lambda folder, held: pa.table(held).to_reader(),
    "old pandas": lambda folder, held: FrameOfOldPandas(held),
    "new pandas": lambda folder, held: FrameOfNewPandas(held),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table(kind, tmp_path):
    read = read_collection(KINDS[kind](tmp_path, columns()), label="topic")
    assert read.texts == TEXTS
    assert read.titles == TITLES
    assert read.ids == ["a", "b", "c"]
    assert [label or None for label in read.labels] == ["x", None, "y"]
    assert read.urls == ["https://a.org/1", "", "https://a.org/3"]
    assert len(read) == 3 and read.notes == []


@pytest.mark.parametrize("kind", KINDS)
def test_columns_by_other_names(kind, tmp_path):
    held = {"body": TEXTS, "name": TITLES, "key": [7, 8, 9]}
    read = read_collection(KINDS[kind](tmp_path, held), text="body", title="name", id="key")
    assert (read.texts, read.titles, read.ids) == (TEXTS, TITLES, ["7", "8", "9"])
    assert read.labels is None and read.urls is None


def test_a_list_of_texts():
    read = read_collection(["First words of a text. " * 10, None, "Short."])
    assert read.titles == ["First words of a text. First words of a text. First words …", "Short."]
    assert read.ids == ["0", "2"]
    assert read_collection(("a", "b")).texts == ["a", "b"]


def test_a_folder_of_text_files(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.txt").write_text("Second", encoding="utf-8")
    (tmp_path / "deep" / "a.txt").write_text("Third: Ω", encoding="utf-8")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfFirst, behind a byte order mark")
    (tmp_path / "readme.md").write_text("not read")
    read = read_collection(tmp_path)
    assert read.texts == ["First, behind a byte order mark", "Second", "Third: Ω"]
    assert read.titles == ["a", "b", "a"]
    assert read.ids == ["a.txt", "b.txt", str(Path("deep") / "a.txt")]


def test_a_folder_without_text_files(tmp_path):
    with pytest.raises(ValueError, match=r"holds no \.txt files"):
        read_collection(tmp_path)


@pytest.mark.parametrize("name", ["e.parquet", "e.jsonl", "e.csv", "e.tsv"])
def test_empty_file(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"{name}' is empty"):
        read_collection(tmp_path / name)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("e.jsonl", b"\n \n", "holds no rows"),
    ("e.csv", b"text,title\n", "holds no text in column 'text'"),
    ("e.csv", b"\xef\xbb\xbf", "no header line"),
    ("e.csv", b"\ntext\na\n", "no header line"),
])
def test_file_without_rows(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_collection(tmp_path / name)


NO_TEXTS = [[], [None], ["", " \t\n"], {"text": []}, pa.table({"text": pa.nulls(0, pa.string())})]


@pytest.mark.parametrize("empty", NO_TEXTS)
def test_table_without_texts(empty):
    with pytest.raises(ValueError, match="the table holds no text in column 'text'"):
        read_collection(empty)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", ["text", "title", "label", "id", "url"])
def test_missing_column_names_what_there_is(kind, asked, tmp_path):
    names = {"text": "text", asked: "nowhere"}
    with pytest.raises(ValueError, match=r"no column 'nowhere'.*it has: text, title, id, topic, url"):
        read_collection(KINDS[kind](tmp_path, columns()), **names)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_text_are_left_out_and_counted(kind, tmp_path, caplog):
    held = {"text": ["one", None, "  \n", "", "five"], "title": ["1", "2", "3", "4", None],
            "topic": ["a", "b", "c", "d", "e"]}
    read = read_collection(KINDS[kind](tmp_path, held), label="topic")
    assert read.texts == ["one", "five"]
    assert read.titles == ["1", "five"]  # a missing title is the text's first words
    assert read.labels == ["a", "e"]
    assert read.ids == ["0", "4"]
    assert read.notes == ["3 of 5 rows have no text and are left out"]
    assert read.notes[0] in caplog.text


def test_nan_is_no_text():
    read = read_collection({"text": ["one", float("nan"), np.nan], "title": [float("nan"), "2", "3"]})
    assert (read.texts, read.titles) == (["one"], ["one"])
    assert read.notes == ["2 of 3 rows have no text and are left out"]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "dict", "pyarrow table", "old pandas", "new pandas"])
def test_numbers_in_the_text_column(kind, tmp_path):
    held = {"text": [None, 12, 13], "title": ["a", "b", "c"]}
    with pytest.raises(ValueError, match=r"column 'text' of .* holds int in row 1, not text; name the column of texts"):
        read_collection(KINDS[kind](tmp_path, held))


def test_numbers_in_titles_and_ids_are_written_out(tmp_path):
    read = read_collection({"text": ["a", "b"], "title": [1984, 2.5], "id": [1, 2]})
    assert (read.titles, read.ids) == (["1984", "2.5"], ["1", "2"])


def test_columns_of_unequal_length():
    for held in ({"text": ["a", "b"], "title": ["a"]}, {"text": ["a"], "title": ["a", "b"]}):
        with pytest.raises(ValueError, match=r"columns of unequal length: text .*, title"):
            read_collection(held)


@pytest.mark.parametrize("source", [7, None, object(), [1, 2], ["a", 3], b"bytes"])
def test_what_is_no_collection(source):
    with pytest.raises(ValueError, match=f"cannot read texts from a {type(source).__name__}"):
        read_collection(source)


def test_missing_file_and_unknown_suffix(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv' does not exist"):
        read_collection(tmp_path / "nowhere.csv")
    for name in ("c.xlsx", "c"):
        (tmp_path / name).write_text("text\na\n")
        with pytest.raises(ValueError, match=rf"{name}' is of no kind that is known; take \.parquet, \.jsonl"):
            read_collection(tmp_path / name)


def test_invalid_utf8_in_csv(tmp_path):
    (tmp_path / "c.csv").write_bytes(b"title,text\na,caf\xe9 au lait\nb,fine\nc,\xff\xff\n")
    read = read_collection(tmp_path / "c.csv")
    assert read.texts == [f"caf{BROKEN} au lait", "fine", BROKEN * 2]
    assert len(read.notes) == 1 and "not valid UTF-8 in 3 places" in read.notes[0] and "byte 16" in read.notes[0]


def test_invalid_utf8_in_json_lines(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(b'{"title": "a", "text": "caf\xe9"}\n{"title": "b", "text": "fine"}\n')
    read = read_collection(tmp_path / "c.jsonl")
    assert read.texts == [f"caf{BROKEN}", "fine"]
    assert len(read.notes) == 1 and read.notes[0].startswith("1 lines of ")


def test_half_of_a_surrogate_pair_is_read_as_broken_text(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(rb'{"title": "cut \ud83d", "text": "half an emoji: \ud83d", "id": "\udc00"}')
    read = read_collection(tmp_path / "c.jsonl")
    assert (read.texts, read.titles, read.ids) == ([f"half an emoji: {BROKEN}"], [f"cut {BROKEN}"], [BROKEN])
    read = read_collection(["cut \ud83d", "whole \U0001f642"])
    assert read.texts == [f"cut {BROKEN}", "whole \U0001f642"]
    assert any("1 of 2 texts" in note for note in read.notes)


def test_invalid_utf8_in_parquet(tmp_path):
    raw = pa.array([b"caf\xe9", b"fine", None, b"\xe2\x82 and \xef\xbf\xbd"], pa.binary())
    lying = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    pq.write_table(pa.table({"text": lying, "title": ["a", "b", "c", "d"]}), tmp_path / "c.parquet")
    read = read_collection(tmp_path / "c.parquet")
    assert read.texts == [f"caf{BROKEN}", "fine", f"{BROKEN} and {BROKEN}"]
    assert any(re.match("2 values of column 'text' are not valid UTF-8", note) for note in read.notes), read.notes


def test_invalid_utf8_in_text_files(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.txt").write_bytes(b"caf\xe9" if i % 2 else b"fine")
    read = read_collection(tmp_path)
    assert read.texts == ["fine", f"caf{BROKEN}"] * 2 + ["fine"]
    assert len(read.notes) == 1 and read.notes[0].startswith("2 of 5 files in ") and "1.txt" in read.notes[0]


def test_parquet_cut_short(tmp_path):
    path = as_parquet(tmp_path, {"text": [f"text {i}" for i in range(1000)]})
    whole = path.read_bytes()
    for length in (3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"c\.parquet' is no readable Parquet file, perhaps cut short"):
            read_collection(path)


def test_json_lines_cut_short(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": "one"}\n\n{"text": "two"}\n{"text": "thr')
    with pytest.raises(ValueError, match=r"c\.jsonl', line 4: no valid JSON, perhaps cut short"):
        read_collection(path)


@pytest.mark.parametrize("line", ['["a"]', '"a"', "7", "null"])
def test_json_lines_of_something_else(line, tmp_path):
    (tmp_path / "c.jsonl").write_text('{"text": "one"}\n' + line)
    with pytest.raises(ValueError, match=r"c\.jsonl', line 2: expected an object"):
        read_collection(tmp_path / "c.jsonl")


def test_json_nested_too_deep(tmp_path):
    (tmp_path / "c.jsonl").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="line 1"):
        read_collection(tmp_path / "c.jsonl")


def test_json_rows_may_lack_fields(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"text": "one"}\n{"title": "B", "text": "two"}\n{"title": "C"}\n')
    read = read_collection(tmp_path / "c.jsonl")
    assert (read.texts, read.titles) == (["one", "two"], ["one", "B"])


def test_a_header_that_names_a_column_twice(tmp_path):
    (tmp_path / "c.csv").write_text("text,title,text\na,b,c\n")
    with pytest.raises(ValueError, match="names a column twice: text, title, text"):
        read_collection(tmp_path / "c.csv")
    with pytest.raises(ValueError, match="names a column twice: text, text"):
        read_collection(pa.table([["a"], ["b"]], names=["text", "text"]))


def test_csv_line_with_too_many_fields(tmp_path):
    (tmp_path / "c.csv").write_text('title,text\n"a","fine, with\na comma"\nb,not, fine\n')
    with pytest.raises(ValueError, match=r"c\.csv', line 4: 3 fields, the header has 2; a text with a comma"):
        read_collection(tmp_path / "c.csv")


def test_csv_lines_with_too_few_fields_and_blank_lines(tmp_path):
    (tmp_path / "c.csv").write_text("text,title\r\none,A\r\n\r\ntwo\r\n")
    read = read_collection(tmp_path / "c.csv")
    assert (read.texts, read.titles) == (["one", "two"], ["A", "two"])


@pytest.mark.parametrize("content", ['text\n"one"\n"two, and then nothi', 'text\n"one\ntwo\nthree\n', '"text\none\n'])
def test_csv_with_a_quote_left_open(content, tmp_path):
    (tmp_path / "c.csv").write_text(content)
    with pytest.raises(ValueError, match=r"c\.csv' ends within a quoted field: .* or the file was cut short"):
        read_collection(tmp_path / "c.csv")


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_csv_with_and_without_a_last_line_break(ending, tmp_path):
    (tmp_path / "c.csv").write_bytes(b'title,text\nA,one\nB,"two\n"' + ending.encode())
    assert read_collection(tmp_path / "c.csv").texts == ["one", "two\n"]


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl"])
def test_byte_order_mark(name, tmp_path):
    content = "text,title\none,A\n" if name == "c.csv" else '{"text": "one", "title": "A"}\n'
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
    read = read_collection(tmp_path / name)
    assert (read.texts, read.titles, read.notes) == (["one"], ["A"], [])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_text_of_fifty_megabytes(kind, tmp_path):
    long = "It was a dark and stormy night. " * (50_000_000 // 32 + 1)
    read = read_collection(KINDS[kind](tmp_path, {"text": [long, "short"], "title": ["L", "S"]}))
    assert [len(t) for t in read.texts] == [len(long), 5]
    assert read.texts[0] == long


def test_a_note_where_no_titles_were_named(tmp_path):
    read = read_collection({"text": ["One text."], "heading": ["One"]})
    assert read.titles == ["One text."]
    assert read.notes == ["no title column was named; titles are the texts' first words"]


def test_more_columns_are_numbers_or_words(tmp_path):
    table = {"text": ["a", "b", " ", "c"], "n": [1, None, 5, 2.5], "s": ["x", "", "y", None],
             "d": ["1", "2.5", "9", ""], "m": ["1", "two", "3", "4"], "i": ["inf", "1", "2", "3"]}
    columns = read_collection(table, columns=["n", "s", "d", "m", "i"]).columns
    np.testing.assert_array_equal(columns["n"], [1, np.nan, 2.5])
    assert columns["s"] == ["x", None, None]
    np.testing.assert_array_equal(columns["d"], [1, 2.5, np.nan])
    assert columns["m"] == ["1", "two", "4"] and columns["i"] == ["inf", "1", "3"]
