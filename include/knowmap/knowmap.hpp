#pragma once

/// The whole library. Each stage has a header of its own.
#include "knowmap/checkpoint_store.hpp"
#include "knowmap/embedder.hpp"
#include "knowmap/error.hpp"
#include "knowmap/fingerprint.hpp"
#include "knowmap/knn.hpp"
#include "knowmap/labeler.hpp"
#include "knowmap/matrix.hpp"
#include "knowmap/pipeline.hpp"
#include "knowmap/progress.hpp"
#include "knowmap/tokenizer.hpp"
#include "knowmap/umap.hpp"
#include "knowmap/version.hpp"
