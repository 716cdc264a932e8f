# Every target makes the environment that it needs, once: .venv is reused until setup.py changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := 2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: demo test quality style types docs bench clean

# Scores real photographs and their degraded twins: demo/scores.csv and demo/contact_sheet.png.
demo: $(VENV)/ready
	HF_HUB_OFFLINE=1 $(BIN)/python examples/demo.py

# Lint, format, types and tests.
test: quality
	HF_HUB_OFFLINE=1 $(BIN)/pytest

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

bench: $(VENV)/ready
	for script in benchmarks/bench_*.py; do HF_HUB_OFFLINE=1 $(BIN)/python $$script || exit 1; done

# The CPU build of torch where pip is set up to offer it, then from PyTorch's own index, else whatever pip offers.
$(VENV)/ready: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "torch==$(TORCH)+cpu" 2>/dev/null \
		|| $(BIN)/pip install --quiet --index-url $(CPU_INDEX) "torch==$(TORCH)+cpu" 2>/dev/null \
		|| $(BIN)/pip install --quiet "torch==$(TORCH)"
	$(BIN)/pip install --quiet -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist site demo
