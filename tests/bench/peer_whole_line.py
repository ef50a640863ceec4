"""The whole line as the Python stack does it; run by whole_line.py in the peers' environment.

sentence-transformers with its defaults, umap-learn with a seed, scikit-learn for regions, their names (c-TF-IDF) and
the labels. Prints one line of JSON: seconds by stage.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

START = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("articles", type=Path)
    parser.add_argument("--model", required=True, help="the model's folder")
    parser.add_argument("--label", default="subject", help="column of labels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--regions", type=int, nargs="+", required=True, help="regions by level")
    parser.add_argument("--out", type=Path, required=True, help="the Parquet file to write")
    args = parser.parse_args()

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import scipy.sparse as sp
    import umap
    from sentence_transformers import SentenceTransformer
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.neighbors import KNeighborsClassifier

    seconds = {"imports": time.perf_counter() - START}
    mark = time.perf_counter()

    def done(stage: str) -> None:
        nonlocal mark
        now = time.perf_counter()
        seconds[stage] = now - mark
        mark = now

    table = pq.read_table(args.articles)
    texts = table.column("text").to_pylist()
    done("read")
    model = SentenceTransformer(args.model, device=args.device)
    done("load model")
    rows = model.encode(texts)
    done("embed")
    xy = umap.UMAP(n_neighbors=15, min_dist=0.1, metric="cosine", random_state=42).fit_transform(rows)
    done("umap")

    counter = CountVectorizer(stop_words="english")
    counts = counter.fit_transform(texts).tocsr().astype(np.float64)
    words = counter.get_feature_names_out()
    columns = {}
    for level, wanted in enumerate(args.regions):
        wanted = min(wanted, len(texts))
        region = KMeans(wanted, random_state=42).fit_predict(xy)
        member = sp.csr_matrix((np.ones(len(texts)), (region, np.arange(len(texts)))), shape=(wanted, len(texts)))
        by_region = (member @ counts).tocsr()
        sizes = np.asarray(by_region.sum(axis=1)).ravel()
        idf = np.log(1 + sizes.mean() / np.maximum(np.asarray(by_region.sum(axis=0)).ravel(), 1))
        names = []
        for i in range(wanted):
            row = by_region.getrow(i)
            best = np.argsort(-(row.data / max(sizes[i], 1) * idf[row.indices]), kind="stable")[:3]
            names.append(", ".join(words[row.indices[best]]))
        columns[f"region_{level}"] = [names[i] for i in region]
    done("regions and names")

    # The rows have length 1, so Euclidean neighbours are the cosine ones, and scikit-learn finds them sooner.
    # None: each row's own label does not vote on it.
    labels = np.asarray(table.column(args.label).to_pylist())
    votes = KNeighborsClassifier(15, algorithm="brute").fit(rows, labels)
    shares = votes.predict_proba(None)
    predicted = votes.classes_[shares.argmax(axis=1)]
    done("labels")

    columns |= {
        "title": table.column("title"),
        "text": table.column("text"),
        "x": pa.array(xy[:, 0]),
        "y": pa.array(xy[:, 1]),
        "label": labels.tolist(),
        "knn_label": predicted.tolist(),
        "knn_confidence": shares.max(axis=1),
    }
    pq.write_table(pa.table(columns), args.out)
    done("write")
    print(json.dumps({"texts": len(texts), "seconds": seconds, "label_accuracy": float(np.mean(predicted == labels))}))


if __name__ == "__main__":
    main()
