"""Labels of a held-out fifth: accuracy, equality with scikit-learn's KNeighborsClassifier, and the confidence curve.

    python tests/bench/labels.py --store map --articles articles.parquet --out labels.json

Two comparisons: with the votes given (scikit-learn is handed the voters and distances that ours found, so that only
the counting is compared), and with each finding its own neighbours (scikit-learn in float64). Then confidence and
abstention, on each fifth held out in turn: the gap between confidence and the share right (expected calibration error,
15 bins of equal size), and how much is labelled at a wanted error. Exit code 1 where in the first a label differs, or a
share by more than 1e-6, or the gap is above 0.03.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier

import knowmap as km

ERRORS = [0.01, 0.02, 0.05, 0.1]
THRESHOLDS = [0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def tied(shares: NDArray[Any]) -> NDArray[np.bool_]:
    """Rows whose two best classes have equal shares."""
    best = np.sort(shares, axis=1)
    return np.isclose(best[:, -1], best[:, -2], rtol=0, atol=1e-6)


def calibration_gap(sure: NDArray[Any], right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error: confidence less share right, without sign, mean over bins of equal size."""
    order = np.array_split(np.argsort(sure, kind="stable"), bins)
    return float(sum(len(b) / len(sure) * abs(sure[b].mean() - right[b].mean()) for b in order))


def held_out_fifths(rows: NDArray[np.float32], subjects: NDArray[Any], neighbors: int) -> dict[str, Any]:
    """Confidence and abstention, each fifth judged by a labeler that was fitted on the others."""
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(rows, subjects.astype(str)))
    result: dict[str, Any] = {"gap": {}, "coverage_at_best": {}, "kept_at_target": {}}
    for name, calibrate in (("share of the votes", False), ("calibrated", True)):
        sure, right = np.zeros(len(rows)), np.zeros(len(rows), bool)
        for known, held in folds:
            labeler = km.KnnLabeler(neighbors, calibrate=calibrate).fit(rows[known], subjects[known])
            said = labeler.predict_with_confidence(rows[held])
            sure[held], right[held] = said.confidence, said.labels == subjects[held]
        result["gap"][name] = calibration_gap(sure, right)
        # The most that can be labelled by this confidence, if the right threshold were known.
        order = np.argsort(-sure, kind="stable")
        error = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
        last = np.append(sure[order][1:] != sure[order][:-1], True)
        result["coverage_at_best"][name] = {
            e: float(max(np.flatnonzero((error <= e) & last), default=-1) + 1) / len(order) for e in ERRORS}
    for wanted in ERRORS:
        given, wrong = 0, 0
        for known, held in folds:
            said = km.KnnLabeler(neighbors, target_error=wanted).fit(rows[known], subjects[known]).predict(rows[held])
            kept = np.array([label is not None for label in said])
            given += int(kept.sum())
            wrong += int(np.sum(said[kept] != subjects[held][kept]))
        result["kept_at_target"][wanted] = [given / len(rows), wrong / max(given, 1)]
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", help="folder of a store, e.g. a finished map's")
    source.add_argument("--rows", type=Path, help="or the embeddings, .npy")
    parser.add_argument("--articles", type=Path, required=True, help="the Parquet that the store was made from")
    parser.add_argument("--label", default="subject", help="column of labels (default: subject)")
    parser.add_argument("--without", action="append", default=[], metavar="LABEL", help="leave out rows of this label")
    parser.add_argument("--neighbors", type=int, default=15)
    parser.add_argument("--limit", type=int, help="only so many rows, evenly drawn")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    args = parser.parse_args()

    machine = harness.print_machine()
    store = km.CheckpointStore(args.store, "r") if args.store else None
    all_rows = store.read_rows(0, store.rows_held) if store else np.load(args.rows)
    subjects = np.asarray(pq.read_table(args.articles, columns=[args.label]).column(0).to_pylist(), dtype=object)
    if len(subjects) != len(all_rows):
        raise SystemExit(f"there are {len(all_rows):,} rows, but there are {len(subjects):,} articles")
    drawn = np.linspace(0, len(subjects) - 1, min(args.limit or len(subjects), len(subjects))).astype(int)
    drawn = drawn[[s not in args.without for s in subjects[drawn]]]
    rows, subjects = all_rows[drawn], subjects[drawn]
    known, held = train_test_split(np.arange(len(rows)), test_size=0.2, random_state=0, stratify=subjects)
    truth = subjects[held]
    print(
        f"{len(known):,} labelled rows, {len(held):,} held out, {len(set(subjects))} labels, "
        f"{args.neighbors} neighbours, cosine\n"
    )

    result: dict[str, Any] = {"machine": machine, "labelled": len(known), "held_out": len(held), "weights": {}}
    table, curve, passed = [], [], True
    for weights in ("uniform", "distance"):
        ours = km.KnnLabeler(args.neighbors, metric="cosine", weights=weights).fit(rows[known], subjects[known])
        labels = ours.predict(rows[held])
        accuracy = float(np.mean(labels == truth))

        own = KNeighborsClassifier(args.neighbors, metric="cosine", weights=weights)
        own.fit(rows[known].astype(np.float64), subjects[known].astype(str))
        own_labels, own_shares = (
            own.predict(rows[held].astype(np.float64)),
            own.predict_proba(rows[held].astype(np.float64)),
        )

        voters, distances = ours.voters(rows[held])
        given = np.full((len(held), len(known)), 1e9)
        np.put_along_axis(given, voters.astype(np.int64), distances.astype(np.float64), axis=1)
        same = KNeighborsClassifier(args.neighbors, metric="precomputed", weights=weights)
        same.fit(np.zeros((len(known), len(known))), subjects[known].astype(str))
        same_labels, same_shares = same.predict(given), same.predict_proba(given)

        differ, own_differ = labels != same_labels, labels != own_labels
        untied = int(np.sum(differ & ~tied(same_shares)))
        share_gap = float(np.abs(ours.predict_proba(rows[held]) - same_shares).max())
        equal = not differ.any() and share_gap <= 1e-6
        passed &= equal
        result["weights"][weights] = {
            "accuracy": accuracy,
            "sklearn_accuracy": float(np.mean(own_labels == truth)),
            "equal_same_votes": float(1 - differ.mean()),
            "different_same_votes": int(differ.sum()),
            "different_same_votes_untied": untied,
            "largest_share_difference": share_gap,
            "ties": int(tied(same_shares).sum()),
            "equal_own_neighbours": float(1 - own_differ.mean()),
            "different_own_neighbours": int(own_differ.sum()),
            "different_own_neighbours_untied": int(np.sum(own_differ & ~tied(own_shares))),
        }
        figures = result["weights"][weights]
        table.append(
            [
                weights,
                f"{accuracy:.4f}",
                f"{figures['sklearn_accuracy']:.4f}",
                f"{figures['equal_same_votes']:.4%} ({differ.sum()} differ, {untied} of them no tie)",
                f"{share_gap:.1e}",
                f"{figures['equal_own_neighbours']:.4%} ({own_differ.sum()} differ, "
                f"{figures['different_own_neighbours_untied']} of them no tie)",
                harness.verdict(equal),
            ]
        )
        if weights == "uniform":
            for threshold in THRESHOLDS:
                said = ours.set_params(min_confidence=threshold).fit(rows[known], subjects[known]).predict(rows[held])
                kept = np.array([label is not None for label in said])
                right = float(np.mean(said[kept] == truth[kept])) if kept.any() else None
                curve.append([threshold, float(kept.mean()), right])
    result |= {"confidence_curve": curve, "passed": passed}

    harness.print_table(
        [
            "votes",
            "accuracy",
            "scikit-learn's",
            "equal, same votes",
            "largest difference of shares",
            "equal, own neighbours",
            "",
        ],
        table,
    )
    print("Confidence curve (uniform votes): below the threshold the labeler abstains\n")
    harness.print_table(
        ["threshold", "kept", "accuracy among kept"],
        [[f"{t:.1f}", f"{k:.1%}", "" if a is None else f"{a:.4f}"] for t, k, a in curve],
    )
    result["fifths"] = held_out_fifths(rows, subjects, args.neighbors)
    fifths = result["fifths"]
    print("Held-out fifths: gap between confidence and share right; share labelled at an error, best threshold known\n")
    harness.print_table(
        ["confidence", "calibration error", *(f"{e:.0%} wrong" for e in ERRORS)],
        [[name, f"{gap:.4f}", *(f"{fifths['coverage_at_best'][name][e]:.1%}" for e in ERRORS)]
         for name, gap in fifths["gap"].items()],
    )
    print("Held-out fifths: target_error, the threshold found on left-out rows of the other four\n")
    harness.print_table(["wanted error", "labelled", "wrong among those"],
                        [[f"{e:.0%}", f"{k:.1%}", f"{w:.2%}"] for e, (k, w) in fifths["kept_at_target"].items()])
    passed &= fifths["gap"]["calibrated"] <= 0.03
    result["passed"] = passed
    harness.write_json(args.out, result)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
