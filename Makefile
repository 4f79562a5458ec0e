# make quickstart   the whole chain on simulated models, offline, then its table    (first run installs .venv)
# make small        the chain on four small real models, on a CPU (BENCHMARKS=DIR: no model hub needed; SIZES=: as in results/small)
# make test         ruff, mypy and every test, three at a time (JOBS=8: eight); what CI runs
# make clean        remove .venv and caches; runs/ and results/ stay

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# more than two cores have work for: a third of the tests wait for servers, timeouts and processes of their own
JOBS ?= 3
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
# A command of a test starts sooner where the modules are compiled once
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install quickstart small test lint types clean
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "GRA needs Python 3.11 or later, $(PYTHON) is %d.%d; set PYTHON=..." % v[:2])'
	@echo "installing some 2 GB of packages into $(VENV): a few minutes, more on a slow network"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[deepspeed,minilm,cpu,dev]'
	@touch $@
	@echo "installed; next: make quickstart, or source $(VENV)/bin/activate && gra --help"

quickstart: install
	@$(BIN)/gra run experiment=quickstart

# sizes for at most an hour on two slow cores: six samples an arm and ten test items show that the chain runs, and say nothing about the arms
SIZES ?= samples=6 synthesis.samples_per_round=3 synthesis.max_proposals=64 experiment.replicates=[0] suite.limit=10

small: export HF_HUB_OFFLINE := $(if $(BENCHMARKS),1,0)
small: install
	@$(BIN)/gra fetch models small_1.5b
	@$(BIN)/gra fetch students smollm2-135m
	@$(BIN)/gra run experiment=small $(SIZES) $(if $(BENCHMARKS),suite.data_dir=$(abspath $(BENCHMARKS)))

lint: install
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
