"""Writes umap_reference.txt: stages of umap-learn 0.5.12 on a small neighbour graph.

Run: python umap_make.py (needs umap-learn 0.5.12, numpy, scipy). The file holds named arrays, one
a line: `name rows cols value...`. Distances are given, so nothing but umap-learn's own stages is
compared.
"""

from pathlib import Path

import numpy as np
import scipy.sparse
from umap.umap_ import (
    compute_membership_strengths,
    find_ab_params,
    fuzzy_simplicial_set,
    make_epochs_per_sample,
    smooth_knn_dist,
)

lines = []


def write(name, array):
    array = np.atleast_2d(np.asarray(array))
    values = " ".join(repr(float(v)) if array.dtype.kind == "f" else str(v) for v in array.ravel())
    lines.append(" ".join(map(str, (name, *array.shape, values))))


n, k = 120, 12
rng = np.random.RandomState(7)
x = rng.normal(size=(n, 6)).astype(np.float32)
x[1] = x[0]  # duplicates: distances of 0
x[2] = x[0]
d = np.sqrt(((x[:, None].astype(np.float64) - x[None]) ** 2).sum(-1)).astype(np.float32)
np.fill_diagonal(d, -1)  # the row itself comes first, as in umap-learn
indices = np.argsort(d, axis=1, kind="stable")[:, :k].astype(np.int32)
distances = np.take_along_axis(d, indices, 1)
distances[:, 0] = 0
write("indices", indices[:, 1:])
write("distances", distances[:, 1:])
for name, connectivity in (("1", 1.0), ("2.5", 2.5)):
    sigmas, rhos = smooth_knn_dist(distances, float(k), local_connectivity=connectivity)
    write(f"sigmas_{name}", sigmas)
    write(f"rhos_{name}", rhos)
    rows, cols, vals, _ = compute_membership_strengths(indices, distances, sigmas, rhos)
    write(f"strengths_{name}", vals.reshape(n, k)[:, 1:])
for mix in (1.0, 0.3):
    graph, _, _ = fuzzy_simplicial_set(
        x, k, rng, "euclidean", knn_indices=indices, knn_dists=distances, set_op_mix_ratio=mix
    )
    graph = scipy.sparse.csr_matrix(graph)
    graph.eliminate_zeros()
    graph.sort_indices()
    write(f"offsets_{mix}", graph.indptr)
    write(f"columns_{mix}", graph.indices)
    write(f"weights_{mix}", graph.data)
write("epochs_per_sample_1.0", make_epochs_per_sample(
    fuzzy_simplicial_set(x, k, rng, "euclidean", knn_indices=indices, knn_dists=distances)[0]
    .tocsr().sorted_indices().data, 200))
curves = [(m, s, *find_ab_params(s, m)) for m, s in
          ((0.1, 1.0), (0.0, 1.0), (0.5, 1.0), (0.001, 0.5), (0.25, 2.0), (0.99, 1.0))]
write("curves", np.array(curves))
Path("umap_reference.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
