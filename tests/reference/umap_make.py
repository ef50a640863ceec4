"""Writes umap_reference.txt: stages of umap-learn 0.5.12 on a small neighbour graph.

Run: python umap_make.py (needs umap-learn 0.5.12, numpy, scipy). The file holds named arrays, one
a line: `name rows cols value...`. Distances are given, so nothing but umap-learn's own stages is
compared.
"""

from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from umap.layouts import optimize_layout_euclidean
from umap.umap_ import (
    compute_membership_strengths,
    discrete_metric_simplicial_set_intersection,
    find_ab_params,
    fuzzy_simplicial_set,
    general_simplicial_set_intersection,
    make_epochs_per_sample,
    reset_local_connectivity,
    simplicial_set_embedding,
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


def write_graph(name, graph):
    graph = scipy.sparse.csr_matrix(graph)
    graph.eliminate_zeros()
    graph.sort_indices()
    write(f"offsets_{name}", graph.indptr)
    write(f"columns_{name}", graph.indices)
    write(f"weights_{name}", graph.data)
    return graph


for mix in (1.0, 0.3):
    graph, _, _ = fuzzy_simplicial_set(
        x, k, rng, "euclidean", knn_indices=indices, knn_dists=distances, set_op_mix_ratio=mix
    )
    write_graph(mix, graph)
write("epochs_per_sample_1.0", make_epochs_per_sample(
    fuzzy_simplicial_set(x, k, rng, "euclidean", knn_indices=indices, knn_dists=distances)[0]
    .tocsr().sorted_indices().data, 200))


# Eigenvectors of the normalised Laplacian, the trivial one left out: of that graph by a dense solver, and of a grid
# with weights known from the places of its edges, large enough for our iteration, by ARPACK.
def laplacian(graph):
    degree = np.asarray(graph.sum(axis=1)).ravel()
    by = scipy.sparse.diags(1 / np.sqrt(degree))
    return scipy.sparse.identity(graph.shape[0]) - by @ graph @ by


def write_spectrum(name, values, vectors):
    write(f"eigenvalues_{name}", values[1:4])
    digits = " ".join(f"{v:.8g}" for v in vectors[:, 1:4].ravel())
    lines.append(f"eigenvectors_{name} {len(vectors)} 3 {digits}")


union = fuzzy_simplicial_set(x, k, rng, "euclidean", knn_indices=indices, knn_dists=distances)[0].astype(np.float64)
write_spectrum("union", *np.linalg.eigh(laplacian(union).toarray()))
high, wide = 48, 37
grid = scipy.sparse.lil_matrix((high * wide, high * wide))
for i in range(high):
    for j in range(wide):
        at = i * wide + j
        for other, inside in ((at + 1, j + 1 < wide), (at + wide, i + 1 < high)):
            if inside:
                grid[at, other] = grid[other, at] = (1 + (at * 37 + other * 11) % 16) / 16
write_spectrum("grid", *scipy.sparse.linalg.eigsh(laplacian(grid.tocsr()), k=4, sigma=-1e-3))
curves = [(m, s, *find_ab_params(s, m)) for m, s in
          ((0.1, 1.0), (0.0, 1.0), (0.5, 1.0), (0.001, 0.5), (0.25, 2.0), (0.99, 1.0))]
write("curves", np.array(curves))

# Targets: classes, of which some are not known, and numbers.
def whole():
    return fuzzy_simplicial_set(
        x, k, rng, "euclidean", knn_indices=indices, knn_dists=distances, return_dists=True
    )


classes = rng.randint(0, 3, n)
classes[rng.choice(n, 20, replace=False)] = -1
write("classes", classes)
for weight in (0.5, 0.9):
    far = 2.5 / (1 - weight)
    write_graph(f"classes_{weight}", discrete_metric_simplicial_set_intersection(whole()[0], classes, far_dist=far))
targets = rng.normal(size=(n, 1)).astype(np.float32)
write("targets", targets)
between = np.abs(targets.astype(np.float64) - targets.T.astype(np.float64))
for weight in (0.3, 0.7):
    of_targets = fuzzy_simplicial_set(
        between, k, rng, "precomputed", {}, None, None, False, 1.0, 1.0, False)[0]
    mixed = general_simplicial_set_intersection(whole()[0], of_targets, weight)
    write_graph(f"targets_{weight}", reset_local_connectivity(mixed))

# The serial layout (at a low rate: at 1 the last bits of its arithmetic grow tenfold an epoch); densMAP's radii.
graph, _, _, graph_dists = whole()
a, b = find_ab_params(1.0, 0.1)
start = rng.uniform(0, 10, size=(n, 2)).astype(np.float32)
start[:, 0] = (start[:, 0] - start[:, 0].min()) / np.ptp(start[:, 0]) * 10
start[:, 1] = (start[:, 1] - start[:, 1].min()) / np.ptp(start[:, 1]) * 10
write("start", start)
epochs = 20
coo = scipy.sparse.csr_matrix(graph).tocoo()
coo.data[coo.data < coo.data.max() / epochs] = 0
coo.eliminate_zeros()
coo = coo.tocsr().sorted_indices().tocoo()
state = np.array([123456789, -987654321, 2021], np.int64)
write("serial_state", state)
for rounds in (3, epochs):
    moved = start.copy()
    places = optimize_layout_euclidean(
        moved, moved, coo.row, coo.col, [rounds - 1, epochs] if rounds < epochs else epochs, n,
        make_epochs_per_sample(coo.data, epochs), a, b, state, initial_alpha=0.05, move_other=True)
    write(f"serial_{rounds}", places[0] if rounds < epochs else places)
embedding, radii = simplicial_set_embedding(
    x, graph, 2, 1.0, a, b, 1.0, 5, epochs, start, np.random.RandomState(3), "euclidean", {}, False,
    {"graph_dists": graph_dists, "n_neighbors": k, "lambda": 2.0, "frac": 0.3, "var_shift": 0.1}, True)
write("dens_map", embedding)
write("rad_orig", radii["rad_orig"])
write("rad_emb", radii["rad_emb"])
Path("umap_reference.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
