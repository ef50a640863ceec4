"""The whole line from Python: what it writes, what a second call keeps, and that it gives the same map twice."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import knowmap as km
from knowmap.build import load_collection, load_options

HOSTILE = "</script><img onerror=alert(1)>"
STAGES = ["neighbors", "layout", "labels", "regions"]
LEVELS = (3, 9)


@pytest.fixture(scope="module")
def collection(sample) -> dict[str, list]:
    """300 articles' first lines, which is all that these tests need of them."""
    articles = sample[:300]
    topics = [a["topic"] if i % 4 else None for i, a in enumerate(articles)]
    titles = [a["title"] for a in articles]
    titles[7] = HOSTILE
    return {"text": [a["extract"][:250] for a in articles], "title": titles, "topic": topics,
            "id": [f"id-{i}" for i in range(300)]}


@pytest.fixture(scope="module")
def built(collection, embedder, tmp_path_factory) -> km.KnowledgeMap:
    out = tmp_path_factory.mktemp("build") / "wiki.km"
    return km.build_map(collection, out, model=embedder, label="topic", level_sizes=LEVELS, progress=False)


@pytest.fixture
def again(built, collection, embedder, tmp_path):
    """Builds into a copy of what `built` left, so that no test sees another's changes."""
    out = tmp_path / "wiki.km"
    shutil.copytree(built.folder, out)

    def build(held=collection, **options) -> km.KnowledgeMap:
        options = {"label": "topic", "level_sizes": LEVELS, "model": embedder, "progress": False} | options
        return km.build_map(held, out, **options)

    return build


def test_the_table(built, collection):
    table = pq.read_table(built.folder / "map.parquet")
    assert table.column_names == ["id", "title", "text", "x", "y", "region_0", "region_1", "label", "knn_label",
                                  "knn_confidence"]
    rows = table.to_pydict()
    assert [rows[c] for c in ("id", "title", "text")] == [collection[c] for c in ("id", "title", "text")]
    assert rows["label"] == collection["topic"]
    assert np.isfinite(rows["x"]).all() and np.isfinite(rows["y"]).all()
    assert len(set(zip(rows["x"], rows["y"], strict=True))) > 290
    assert table.equals(built.to_arrow())


def test_the_votes(built, collection):
    rows = built.to_arrow().to_pydict()
    known = [i for i, topic in enumerate(collection["topic"]) if topic is not None]
    assert set(rows["knn_label"]) <= {collection["topic"][i] for i in known}
    assert np.mean([rows["knn_label"][i] == rows["label"][i] for i in known]) > 0.6
    confidence = np.array(rows["knn_confidence"])
    assert confidence.min() > 0 and confidence.max() <= 1


def test_regions_are_nested_and_no_name_is_said_twice(built):
    coarse, fine = built.levels
    assert 2 <= len(coarse.regions) < len(fine.regions)
    for level, above in ((coarse, None), (fine, coarse)):
        names = [region.name for region in level.regions]
        assert all(names) and len({n.casefold() for n in names}) == len(names)
        sizes = np.bincount(level.assignment[level.assignment >= 0], minlength=len(names))
        assert [region.size for region in level.regions] == sizes.tolist()
        for i, region in enumerate(level.regions):
            assert region.phrases and all(level.assignment[e] == i for e in region.exemplars)
            if above is not None and region.parent >= 0:
                assert region.name.casefold() != above.regions[region.parent].name.casefold()
                assert set(above.assignment[level.assignment == i].tolist()) == {region.parent}
    assert any(region.parent >= 0 for region in fine.regions)
    assert built.region_names(1)[0] == (fine.regions[fine.assignment[0]].name if fine.assignment[0] >= 0 else None)


def test_the_page_holds_titles_as_text_only(built, collection):
    page = (built.folder / "map.html").read_text(encoding="utf-8")
    assert "<img onerror" not in page
    assert "\\u003c/script\\u003e\\u003cimg onerror=alert(1)\\u003e" in page
    assert collection["title"][0] in page


def test_nothing_else_is_left_in_the_folder(built):
    assert sorted(p.name for p in built.folder.iterdir() if p.name != ".lock") == [
        "collection.parquet", "map.html", "map.parquet", "map_options.json", "rows", "stages", "store.json"]
    assert km.CheckpointStore(built.folder, mode="r").verify().leftovers == []


def test_shown_in_a_notebook(built):
    shown = built._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and shown.endswith("</iframe>")
    assert shown.count("<") == 2 and HOSTILE not in shown
    assert 'sandbox="allow-scripts ' in shown and "allow-same-origin" not in shown
    assert repr(built).startswith(f"KnowledgeMap(300 texts, regions by level: {len(built.levels[0].regions)}, ")
    assert len(built) == 300


def test_a_notebook_is_spared_what_is_too_large_for_it(built, monkeypatch):
    """The larger the map, the less of it; only what fits in no way is told of in words."""
    sizes = [len(built._repr_html_())]
    monkeypatch.setattr("knowmap.build._NOTEBOOK_TEXTS", 299)
    sizes.append(len(built._repr_html_()))
    for _ in range(2):
        monkeypatch.setattr("knowmap.build._NOTEBOOK_BYTES", sizes[-1] - 500)
        shown = built._repr_html_()
        assert shown.startswith("<iframe srcdoc=") and built.levels[0].regions[0].name.replace("&", "\\u0026") in shown
        sizes.append(len(shown))
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4
    for limit in (sizes[-1] - 1000, 299):
        monkeypatch.setattr("knowmap.build._NOTEBOOK_BYTES", limit)
        shown = built._repr_html_()
        assert "<iframe" not in shown and str(built.folder / "map.html") in shown and "300 texts" in shown
    shown = dataclasses.replace(built, folder=None)._repr_html_()
    assert "<iframe" not in shown and "to_html" in shown


def test_a_first_run_reuses_nothing(built):
    assert built.reused == []
    assert (built.resume.rows_kept, built.resume.rows_computed) == (0, 300)


def test_a_second_run_reuses_everything(built, again):
    second = again()
    assert second.reused == STAGES
    assert (second.resume.rows_kept, second.resume.rows_computed, second.resume.rows_dropped) == (300, 0, 0)
    assert second.to_arrow().equals(built.to_arrow())
    for name in ("map.html", "map.parquet"):
        assert (second.folder / name).read_bytes() == (built.folder / name).read_bytes(), name


def test_other_labels_redo_the_vote_alone(again, collection):
    made = again(collection | {"topic": [t or "other" for t in collection["topic"]]})
    assert made.reused == ["neighbors", "layout", "regions"]
    assert "other" in made.to_arrow().column("label").to_pylist()
    assert again(min_confidence=0.99).reused == ["neighbors", "layout", "regions"]
    without = again(label=None)
    assert without.reused == ["neighbors", "layout", "regions"]
    assert "knn_label" not in without.to_arrow().column_names


def test_another_umap_option_redoes_the_map_and_keeps_the_rows(built, again):
    made = again(umap={"min_dist": 0.5})
    assert made.reused == ["neighbors", "labels"]
    assert (made.resume.rows_kept, made.resume.rows_computed) == (300, 0)
    assert (made.coordinates != built.coordinates).any()


def test_other_titles_redo_the_names_alone(again, collection):
    made = again(collection | {"title": [f"{t}!" for t in collection["title"]]})
    assert made.reused == ["neighbors", "layout", "labels"]


def test_an_appended_text_computes_only_what_is_new(built, again, collection, embedder):
    added = {"text": "A zebra is an animal.", "title": "Zebra", "topic": None, "id": "id-300"}
    made = again({name: [*values, added[name]] for name, values in collection.items()})
    assert (made.resume.rows_kept, made.resume.rows_computed, made.resume.rows_dropped) == (300, 1, 0)
    assert made.reused == [] and len(made) == 301
    store = km.CheckpointStore(made.folder, mode="r")
    np.testing.assert_array_equal(store.read_rows(0, 300), km.CheckpointStore(built.folder, mode="r").read_rows(0, 300))
    np.testing.assert_array_equal(store.read_rows(300, 301), embedder.encode([added["text"]], progress=False))


def names(made: km.KnowledgeMap) -> list[list[str]]:
    return [[region.name for region in level.regions] for level in made.levels]


def test_the_map_goes_on_when_a_twentieth_is_added(built, again, collection, embedder, sample, tmp_path):
    more = sample[300:315]
    added = {"text": [a["extract"][:250] for a in more], "title": [a["title"] for a in more], "topic": [None] * 15,
             "id": [f"more-{i}" for i in range(15)]}
    held = {name: values + added[name] for name, values in collection.items()}

    def moved(made: km.KnowledgeMap) -> float:
        return float(np.median(np.linalg.norm(made.coordinates[:300] - built.coordinates, axis=1)))

    made = again(held)
    before = {name for level in names(built) for name in level}
    kept = [sum(name in before for name in level) for level in names(made)]
    assert sum(kept) >= 7 and sum(kept) >= 0.75 * len(before), kept
    for level in made.levels:  # a region that is nearly all of an earlier one has its name
        for i, region in enumerate(level.regions):
            mine = level.assignment[:300] == i
            for earlier in built.levels:
                for j, other in enumerate(earlier.regions):
                    if (was := earlier.assignment == j).sum() and (mine & was).sum() > 0.9 * (mine | was).sum():
                        assert region.name == other.name
    assert moved(made) < 0.1 * np.ptp(built.coordinates)
    assert again().reused == []  # the fifteen gone again, it goes on once more
    # Anew it is what a folder makes that held nothing.
    fresh = km.build_map(held, tmp_path / "fresh", model=embedder, label="topic", level_sizes=LEVELS, progress=False)
    made = again(held, anew=True)
    np.testing.assert_array_equal(made.coordinates, fresh.coordinates)
    assert names(made) == names(fresh)
    assert sum(kept) > sum(name in before for level in names(fresh) for name in level)
    assert moved(made) > 0.1 * np.ptp(built.coordinates)


def test_a_namer_renames_and_its_failures_are_logged(built, again, caplog):
    asked = []

    def namer(*, name, phrases, titles, parent, level, size):
        asked.append((level, name))
        assert phrases and titles and size > 0 and (parent == "") == (level == 0)
        if len(asked) == 1:
            raise RuntimeError("the model is out")
        return {2: "various topics", 3: 17}.get(len(asked), f"Ruritania {len(asked)}")

    made = again(namer=namer)
    assert [name for _, name in asked] == [name for level in names(built) for name in level]
    assert len(caplog.messages) == 3 and "the model is out" in caplog.messages[0]
    flat = [name for level in names(made) for name in level]
    assert flat[3:] == [f"Ruritania {i + 1}" for i in range(3, len(flat))] and flat[:3] == [n for _, n in asked[:3]]
    assert "Ruritania 5" in made.to_html(made.folder / "again.html").read_text(encoding="utf-8")
    # What was told stays, where the store is read again too; nothing is asked twice.
    count = len(asked)
    assert names(km.build.finish_map(load_collection(made.folder), km.CheckpointStore(made.folder))) == names(made)
    assert len(asked) == count
    assert names(again()) == names(built)


def test_ctrl_c_in_a_namer_ends_the_call_and_keeps_its_answers(again):
    def cut(*, level, **_):
        if level == 1:
            raise KeyboardInterrupt
        return f"Ruritania {next(numbers)}"

    numbers = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        again(namer=cut, namer_key="mine")
    asked = []
    made = again(namer=lambda *, level, **_: asked.append(level), namer_key="mine")
    assert all(name.startswith("Ruritania ") for name in names(made)[0]) and set(asked) == {1}


def test_a_namer_that_names_a_region_as_its_part_leaves_both_apart(built, again, caplog):
    part = built.levels[1].regions[0]
    made = again(namer=lambda *, level, name, **_: (
        part.name if level == 0 and name == built.levels[0].regions[part.parent].name else ""))
    assert names(made) == names(built) and "a region within it has it" in caplog.text


def test_a_grid_of_named_cells(built, again, collection):
    made = again(grid=(5, 4))
    assert made.reused == STAGES and built.grid is None
    cells = [cell.name for cell in made.grid.regions]
    assert all(cells) and len(set(cells)) == len(cells) and {c.cell for c in made.grid.regions} <= set(range(20))
    assert not {(c.name, made.levels[-1].regions[c.parent].name) for c in made.grid.regions} & {(n, n) for n in cells}
    table = made.to_arrow().to_pydict()
    assert table["grid_name"] == [cells[i] for i in made.grid.assignment]
    assert table["grid_cell"] == [made.grid.regions[i].cell for i in made.grid.assignment]
    column = next(column for column in made._page()["columns"] if column.name == "Grid cell")
    assert column.names == cells
    second = again(grid=(5, 4))
    assert second.reused == [*STAGES, "grid"]
    assert [(c.name, c.cell, c.parent, c.exemplars) for c in second.grid.regions] == [
        (c.name, c.cell, c.parent, c.exemplars) for c in made.grid.regions]
    assert again(grid=(3, 3)).grid.assignment.tolist() != made.grid.assignment.tolist()
    with pytest.raises(ValueError, match="rows and columns"):
        again(grid=(0, 4))
    assert again().grid is None


def test_abstaining_to_a_wanted_error_or_by_distance(again):
    careful = again(target_error=0.1)
    truth = careful.collection.labels
    given = [i for i, (p, t) in enumerate(zip(careful.predicted.tolist(), truth, strict=True)) if p and t]
    assert 0 < len(given) < 225 and np.mean([careful.predicted[i] != truth[i] for i in given]) <= 0.1
    near = again(max_distance=0.4)
    for label, distances in zip(near.predicted.tolist(), near.voter_distances, strict=True):
        assert (label is None) == (distances[0] > 0.4)


def test_fresh_starts_over(built, again, collection):
    few = {name: values[:60] for name, values in collection.items()}
    made = again(few, fresh=True)
    assert (made.resume.rows_kept, made.resume.rows_computed) == (0, 60)
    assert made.reused == []
    assert pq.read_table(made.folder / "map.parquet").num_rows == 60
    assert again(few, fresh=True, umap={"min_dist": 0.5}).reused == []
    assert again(few, fresh=True).reused == [] and load_options(made.folder)["umap"] == {}


def test_options_are_kept_in_the_folder(again):
    made = again(umap={"n_neighbors": 10}, label_neighbors=5, min_confidence=0.5, name="Animals & more")
    kept = load_options(made.folder)
    assert kept == {"umap": {"n_neighbors": 10}, "label_neighbors": 5, "min_confidence": 0.5, "target_error": None,
                    "max_distance": None, "level_sizes": [3, 9], "grid": [], "namer": "", "name": "Animals & more"}
    assert made.name == "Animals & more"
    assert "<title>Animals &amp; more</title>" in (made.folder / "map.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="n_neighbors"):
        again(umap={"n_neighbors": 0})
    assert load_options(made.folder) == kept  # what proved wrong is not kept
    unsure = made.confidence < 0.5
    assert all(label is None for label in made.predicted[unsure])


def test_a_call_says_the_whole_map_whatever_an_earlier_one_said(again):
    again(umap={"n_neighbors": 10, "min_dist": 0.5}, label_neighbors=5, name="Animals")
    made = again()
    assert load_options(made.folder)["umap"] == {} and load_options(made.folder)["label_neighbors"] == 15
    assert made.name == "Knowledge map"


def test_more_columns_colour_the_map(again, collection):
    years = [1900 + i if i % 3 else None for i in range(300)]
    places = [["north", "south", None][i % 3] for i in range(300)]
    made = again(collection | {"year": years, "place": places}, columns=["year", "place"])
    assert made.reused == STAGES
    columns = {column.name: column for column in made._page()["columns"]}
    assert columns["year"].kind == "number" and columns["year"].values[1] == 1901
    assert np.isnan(columns["year"].values[0])
    assert columns["place"].names == ["north", "south"] and columns["place"].values[:3].tolist() == [0, 1, -1]
    kept = load_collection(made.folder).columns  # `knowmap render` finds them again
    assert kept["place"] == places
    np.testing.assert_array_equal(kept["year"], [np.nan if y is None else float(y) for y in years])
    with pytest.raises(ValueError, match="no column 'nowhere'"):
        again(columns=["nowhere"])


def test_the_page_carries_the_neighbours(built):
    near = built._page()["neighbors"]
    assert near.rows.shape == (300, 15)
    rows = built.neighbors[7]
    assert 7 not in rows and len(set(rows.tolist())) == 15
    assert (np.diff(near.similarity, axis=1) <= 1e-6).all() and near.similarity.max() <= 1 + 1e-6


def test_the_page_carries_the_voters_where_only_some_are_labelled(built, again, collection):
    voters = built._page()["voters"]
    assert voters.rows.shape == (300, 15)
    assert all(collection["topic"][row] is not None for row in voters.rows.ravel().tolist())
    assert all(i not in row for i, row in enumerate(voters.rows.tolist()))
    assert (np.diff(voters.similarity, axis=1) <= 1e-6).all()
    whole = again(collection | {"topic": [topic or "rest" for topic in collection["topic"]]})
    assert whole.voters is None and whole._page()["voters"] is None


def test_the_page_carries_the_votes(built):
    page = built._page()
    names = next(column.names for column in page["columns"] if column.role == "label")
    best = [names[code] for code in page["votes"].codes[:, 0]]
    assert best == built.predicted.tolist()
    assert np.allclose(page["votes"].shares.sum(axis=1), 1, atol=0.35) and page["votes"].shares.max() <= 1


def test_damaged_options_are_told(built, tmp_path):
    (tmp_path / "map_options.json").write_text('{"umap": {')
    with pytest.raises(km.CheckpointError, match=r"map_options\.json' is damaged .* remove it"):
        load_options(tmp_path)


def test_the_same_map_on_one_thread_and_on_two(built, collection, embedder, tmp_path):
    made = []
    for threads in (1, 2):
        out = tmp_path / str(threads)
        shutil.copytree(built.folder, out)
        shutil.rmtree(out / "stages")
        made.append(km.build_map(collection, out, model=embedder, label="topic", level_sizes=LEVELS, threads=threads,
                                 progress=False))
        assert made[-1].reused == [] and made[-1].resume.rows_kept == 300
    assert made[0].coordinates.tobytes() == made[1].coordinates.tobytes() == built.coordinates.tobytes()
    assert made[0].to_arrow().equals(made[1].to_arrow())


def test_written_elsewhere(built, tmp_path):
    assert built.to_parquet(tmp_path / "other.parquet") == tmp_path / "other.parquet"
    assert built.to_html(tmp_path / "other.html") == tmp_path / "other.html"
    assert pq.read_table(tmp_path / "other.parquet").equals(built.to_arrow())
    assert (tmp_path / "other.html").read_bytes() == (built.folder / "map.html").read_bytes()
    for write in (built.to_parquet, built.to_html):
        with pytest.raises(FileNotFoundError, match=r"could not write '.*folder.*No such file.* take another folder"):
            write(tmp_path / "no" / "such" / "folder")


def test_a_few_texts_only(embedder, tmp_path):
    for n in (1, 2, 5):
        made = km.build_map([f"Text number {i} about nothing." for i in range(n)], tmp_path / str(n), model=embedder,
                            progress=False)
        assert made.coordinates.shape == (n, 2) and np.isfinite(made.coordinates).all()
        assert pq.read_table(tmp_path / str(n) / "map.parquet").num_rows == n


def test_wrong_input_leaves_the_map_as_it_was(built, again, collection):
    before = (built.folder / "map.parquet").read_bytes()
    with pytest.raises(ValueError, match="no column 'nowhere'"):
        again(label="nowhere")
    with pytest.raises(ValueError, match="n_neighbors"):
        again(umap={"n_neighbors": 0})
    with pytest.raises((ValueError, TypeError), match="no_such_option"):
        again(umap={"no_such_option": 1})
    made = again()
    assert made.reused == STAGES
    assert Path(made.folder / "map.parquet").read_bytes() == before
