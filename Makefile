# X-CLIP Search: every target sets up .venv first, if it is missing or stale.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
SOURCES := app xclip xclip_search index tests benchmarks

.PHONY: help demo serve test check format bench bench-speed faults check-image motion-tiny clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: $(VENV)/installed ## generate clips, ingest and search them, leave the service running (ARGS=--exit to stop)
	$(RUN)/xclip-search demo $(ARGS)

serve: $(VENV)/installed ## start API and worker on http://127.0.0.1:8000
	$(RUN)/xclip-search serve $(ARGS)

test: $(VENV)/installed ## run all tests, in three processes
	$(RUN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/installed ## lint, format and types
	$(RUN)/ruff check $(SOURCES)
	$(RUN)/ruff format --check $(SOURCES)
	$(RUN)/mypy
	$(RUN)/oxlint --deny-warnings app/web

format: $(VENV)/installed ## format the code
	$(RUN)/ruff check --fix $(SOURCES)
	$(RUN)/ruff format $(SOURCES)

bench: $(VENV)/installed ## measure retrieval, confidence and order on generated clips, through the REST API, and moments
	$(RUN)/python -m benchmarks.retrieval
	$(RUN)/python -m benchmarks.confidence
	$(RUN)/python -m benchmarks.moments

bench-speed: $(VENV)/installed ## measure decoding, model, ingest, index, search and training beside their peers
	$(RUN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(RUN)/python -m benchmarks.decode
	$(RUN)/python -m benchmarks.engine
	$(RUN)/python -m benchmarks.ingest
	$(RUN)/python -m benchmarks.search_beside_ingest
	$(RUN)/python -m benchmarks.index_size
	$(RUN)/python -m benchmarks.start_up
	$(RUN)/python -m benchmarks.conditioned_score
	$(RUN)/python -m benchmarks.precision
	$(RUN)/python -m benchmarks.latency
	$(RUN)/python -m benchmarks.training_step
	$(RUN)/python -m benchmarks.page

faults: $(VENV)/installed ## the long runs: 200 kills, every failure of a disk, overload, a 4 GB upload, 100 requests an operation (an hour)
	$(RUN)/python -m tests.faults.random_kills --kills 200
	XCLIP_TEST_FAULTS=all $(RUN)/python -m pytest tests/faults
	$(RUN)/python -m benchmarks.overload
	$(RUN)/python -m benchmarks.big_upload
	XCLIP_TEST_OPENAPI_EXAMPLES=100 $(RUN)/python -m pytest --timeout 3000 tests/security/test_openapi.py
	XCLIP_TEST_CUT_INTERVALS=24 $(RUN)/python -m pytest tests/xclip/video/test_cut_property.py

check-image: $(VENV)/installed ## run the Dockerfile's installation steps in a clean environment (minutes)
	$(RUN)/python -m tests.deploy.image_install

motion-tiny: $(VENV)/installed ## train the embedded checkpoint again (about an hour and a half on two cores)
	$(RUN)/python -m xclip.motion.recipe.stage1_base build/motion-tiny-first
	$(RUN)/python -m xclip.motion.recipe.stage2_turns build/motion-tiny-first build/motion-tiny-second
	$(RUN)/python -m xclip.motion.recipe.stage3_wider build/motion-tiny-second build/motion-tiny
	$(RUN)/python -m xclip.motion.recipe.stage4_confidence build/motion-tiny

clean: ## remove everything that the targets made
	rm -rf $(VENV) build .demo-data .training
