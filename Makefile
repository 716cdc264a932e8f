# Every target makes the environment that it needs, once; it is reused until setup.py changes.
PYTHON ?= python3
VENV := .venv
BIN = $(VENV)/bin
PIP = $(@D)/bin/pip install --quiet --no-compile
TORCH := 2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu
# The networks of the tests are so small that a second thread costs more than it gives.
PYTEST = HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest

QUICK = $(PYTEST) -q -m "not slow and not fuzz"

.PHONY: demo check check-models check-rest test coverage test-lowest test-core test-integrations test-these test-others test-ray quality style docs bench dist test-wheel clean

# Scores real photographs and their distorted twins: demo/scores.csv and demo/contact_sheet.png.
demo: $(VENV)/ready
	HF_HUB_OFFLINE=1 $(BIN)/python examples/demo.py

# Before every commit, two at a time: lint, format, types, and the rooms whose tests neither train nor start processes.
check: $(VENV)/ready
	$(MAKE) -j2 check-models check-rest quality

check-models:
	$(QUICK) tests/models tests/scoring

check-rest:
	$(QUICK) tests/test_rooms.py tests/test_packaging.py tests/test_licences.py tests/data tests/evaluation tests/hub

# Everything.
test: $(VENV)/ready
	$(MAKE) -j3 -Otarget quality $(PARTS)

# Everything once more, with the lines that no test runs.
coverage: $(VENV)/ready
	$(MAKE) -j3 -Otarget COVERED=yes $(PARTS)
	$(BIN)/coverage combine --quiet $(PARTS:%=.coverage.%)
	$(BIN)/coverage report --skip-covered

# The same tests with the lowest versions that setup.py allows.
test-lowest: VENV := .venv-lowest
test-lowest: .venv-lowest/ready
	$(MAKE) -j3 -Otarget VENV=$(VENV) $(PARTS)

# And without any extra: what needs one skips itself and says so.
test-core: VENV := .venv-core
test-core: .venv-core/ready
	$(MAKE) -j3 -Otarget VENV=$(VENV) $(PARTS)

# And what plugs into other tools, with these tools in an environment of their own.
test-integrations: VENV := .venv-integrations
test-integrations: .venv-integrations/ready
	$(PYTEST) tests/integrations

# Two halves that take about as long, and what waits more than it computes, side by side; each prints when it has ended.
PARTS = test-these test-others test-ray
THESE = tests/cli tests/demo tests/examples tests/hub tests/training
RAY = tests/scoring/test_ray_engine.py tests/scoring/test_ray_faults.py tests/scoring/test_shards.py
WITH_COVERAGE = $(if $(COVERED),--cov --cov-report=)

test-these:
	COVERAGE_FILE=.coverage.$@ $(PYTEST) $(WITH_COVERAGE) $(THESE)

test-others:
	COVERAGE_FILE=.coverage.$@ $(PYTEST) $(WITH_COVERAGE) $(THESE:%=--ignore=%) $(RAY:%=--ignore=%)

test-ray:
	COVERAGE_FILE=.coverage.$@ $(PYTEST) $(WITH_COVERAGE) $(RAY)

quality: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

style: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/ready
	$(BIN)/pip install --quiet -e ".[docs]"
	$(BIN)/mkdocs build --strict
	! grep -rlE '\[<code>' --include='*.html' site  # a reference that is no link

# Wheel and sdist of what git knows, in dist/, and what is in them.
dist: .venv-dist/ready
	rm -rf build dist
	.venv-dist/bin/python -m build
	.venv-dist/bin/twine check --strict dist/*
	$(PYTHON) tests/support/distributions.py dist

# The wheel in an empty environment, away from this folder, scores a photo.
test-wheel: dist
	rm -rf .venv-wheel
	$(MAKE) .venv-wheel/ready
	cd .venv-wheel && bin/python -I $(CURDIR)/tests/support/score_installed.py

bench: $(VENV)/ready
	for script in benchmarks/bench_*.py; do HF_HUB_OFFLINE=1 $(BIN)/python $$script || exit 1; done

.venv/ready: setup.py
	$(call install,-e ".[dev]")

.venv-lowest/ready: setup.py
	mkdir -p $(@D)
	$(PYTHON) tests/support/requirements.py dev > $(@D)/lowest.txt
	$(call install,-e ".[dev]" --constraint $(@D)/lowest.txt)

.venv-core/ready: setup.py
	$(call install,-e ".[test]")

.venv-integrations/ready: setup.py
	$(call install,-e ".[test$(,)integrations]")

.venv-dist/ready:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet build twine
	touch $@

.venv-wheel/ready:
	$(call install,$(CURDIR)/dist/*.whl)

, := ,
# The CPU build of torch where pip is set up to offer it, then from PyTorch's own index, else whatever pip offers.
# Python compiles what is imported, when it is: a small part of all files.
define install
	$(PYTHON) -m venv $(@D)
	$(PIP) "torch==$(TORCH)+cpu" 2>/dev/null || $(PIP) --index-url $(CPU_INDEX) "torch==$(TORCH)+cpu" 2>/dev/null \
		|| $(PIP) "torch==$(TORCH)"
	$(PIP) $(1)
	touch $@
endef

clean:
	rm -rf .venv .venv-lowest .venv-core .venv-integrations .venv-dist .venv-wheel build dist site demo
