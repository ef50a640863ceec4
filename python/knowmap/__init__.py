"""Turns a large collection of texts into a labelled knowledge map.

    import knowmap as km

    km.build_map("articles.parquet", out="wiki.km", model="all-MiniLM-L6-v2")

does all of it, and goes on where it was cut off. The stages alone: `Embedder`, `CheckpointStore`, `knn_graph`,
`UmapProjector` (also as `UMAP`), `KnnLabeler`, `LabelPropagator`, `name_regions`.
"""

from knowmap import _torch as _torch  # first: it checks the libtorch that the engine is linked to
from knowmap._core import (
    CancelledError,
    CheckpointError,
    EmbedReport,
    Error,
    ModelError,
    OutOfMemoryError,
    Region,
    RegionLevel,
    Tokenizer,
    TokenizerError,
    __version__,
)
from knowmap.build import KnowledgeMap, build_map
from knowmap.embedder import Embedder
from knowmap.labeler import Explanation, KnnLabeler, Prediction, SetPrediction, TopLabels, Vote
from knowmap.neighbors import KnnGraph, KnnIndex, knn_graph, knn_query
from knowmap.projector import UmapProjector, level_density
from knowmap.propagation import LabelPropagator
from knowmap.regions import name_grid, name_regions, rename_regions
from knowmap.store import CheckpointStore

UMAP = UmapProjector

__all__ = [
    "UMAP",
    "CancelledError",
    "CheckpointError",
    "CheckpointStore",
    "EmbedReport",
    "Embedder",
    "Error",
    "Explanation",
    "KnnGraph",
    "KnnIndex",
    "KnnLabeler",
    "KnowledgeMap",
    "LabelPropagator",
    "ModelError",
    "OutOfMemoryError",
    "Prediction",
    "Region",
    "RegionLevel",
    "SetPrediction",
    "Tokenizer",
    "TokenizerError",
    "TopLabels",
    "UmapProjector",
    "Vote",
    "__version__",
    "build_map",
    "knn_graph",
    "knn_query",
    "level_density",
    "name_grid",
    "name_regions",
    "rename_regions",
]
