"""Labels of a held-out fifth: accuracy, equality with scikit-learn's KNeighborsClassifier, and the confidence curve.

    python tests/bench/labels.py --store map --articles articles.parquet --out labels.json

Two comparisons: with the votes given (scikit-learn is handed the voters and distances that ours found, so that only
the counting is compared), and with each finding its own neighbours (scikit-learn in float64). Exit code 1 where the
first differs.
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
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

import knowmap as km

THRESHOLDS = [0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def tied(shares: NDArray[Any]) -> NDArray[np.bool_]:
    """Rows whose two best classes have equal shares."""
    best = np.sort(shares, axis=1)
    return np.isclose(best[:, -1], best[:, -2], rtol=0, atol=1e-6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="folder of a store, e.g. a finished map's")
    parser.add_argument("--articles", type=Path, required=True, help="the Parquet that the store was made from")
    parser.add_argument("--label", default="subject", help="column of labels (default: subject)")
    parser.add_argument("--without", action="append", default=[], metavar="LABEL", help="leave out rows of this label")
    parser.add_argument("--neighbors", type=int, default=15)
    parser.add_argument("--limit", type=int, help="only so many rows, evenly drawn")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    args = parser.parse_args()

    machine = harness.print_machine()
    store = km.CheckpointStore(args.store, "r")
    subjects = np.asarray(pq.read_table(args.articles, columns=[args.label]).column(0).to_pylist(), dtype=object)
    if len(subjects) != store.rows_held:
        raise SystemExit(f"the store holds {store.rows_held:,} rows, but there are {len(subjects):,} articles")
    drawn = np.linspace(0, len(subjects) - 1, min(args.limit or len(subjects), len(subjects))).astype(int)
    drawn = drawn[[s not in args.without for s in subjects[drawn]]]
    rows, subjects = store.read_rows(0, len(subjects))[drawn], subjects[drawn]
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
        passed &= not differ.any()
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
                harness.verdict(not differ.any()),
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
    harness.write_json(args.out, result)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
