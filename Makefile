# make demo   the comparison of callback and polling, as a table and a picture
# make test   everything that must hold before a change goes in: at most six minutes on two cores
# make quick  of it linters, types and the quick tests (no browser, no notebook, no long fuzz): 90 s
# make lint   linters and types alone
# make lab    JupyterLab on the notebooks
# make lite   the same without installation, in a browser: a site in out/lite (docs/in_the_browser.md)
# make bench  speed, against a plain hand-written SimPy model
# make docs   the documentation as a site in out/site/, built without internet
# make slides  the notebooks as slides, into out/slides/
# make pictures  the pictures of README, into docs/
# make clean  take away what the others made (make distclean: the environment as well)
#
# Without make: python3 -m venv .venv && .venv/bin/pip install 'pip>=25.1' &&
#     .venv/bin/pip install -c constraints.txt -e '.[fast,serve,logs,lab]' --group dev

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# those of the course; notebooks of your own beside them are yours
NOTEBOOKS := $(wildcard notebooks/[0-9][0-9]_*.ipynb notebooks/solutions/*.ipynb)
# Jupyter refuses to run as root, as one is in many containers, unless told that this is meant
LAB_FLAGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: help demo test quick lint lab lite bench docs slides pictures clean distclean
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(VENV)/ready-demo
	@mkdir -p out
	$(BIN)/asyncsim compare data/nightly_ledger.toml --strategy "callback delay=50ms" \
		--strategy "polling 15min" --seed 1 --save out/nightly_ledger.png

test: lint
	$(BIN)/python -m pytest -n 3

quick: lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

lint: $(VENV)/ready-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/nbstripout --verify $(NOTEBOOKS)

lab: $(VENV)/ready-lab
	$(BIN)/jupyter lab $(LAB_FLAGS) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

# PYODIDE=folder takes an unpacked Pyodide distribution; the site then needs no internet at all
lite: $(VENV)/ready-lite
	$(BIN)/python lite/build.py out/lite $(if $(PYODIDE),--pyodide $(PYODIDE))

bench: $(VENV)/ready-demo
	$(BIN)/python tests/benchmarks/speed.py
	$(BIN)/python tests/benchmarks/live.py
	$(BIN)/python tests/benchmarks/widgets.py
	$(BIN)/python tests/benchmarks/sweep.py

docs: $(VENV)/ready-docs
	$(BIN)/sphinx-build -E -W --keep-going -q -c docs -d out/docs . out/site
	@echo "open out/site/index.html"

slides: $(VENV)/ready-docs
	$(BIN)/python docs/make_slides.py

pictures: $(VENV)/ready-test
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python -m pytest -q tests/browser/test_console.py -k finishes_5_31
	cp out/screenshots/console_finishes_5_31_after.png docs/console.png

clean:
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f notebooks/*.html notebooks/*.toml notebooks/*.xes notebooks/*.xes.gz notebooks/workshop.db*
	find asyncsim tests data notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) \
		-prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

# The stamps say what has been installed; they age when the requirements change.
$(VENV)/ready-demo: WANTED := -e ".[fast,serve]"
$(VENV)/ready-test: WANTED := -e ".[fast,serve,logs,lab]" --group dev
$(VENV)/ready-lab: WANTED := -e ".[fast,serve,logs,lab]"
$(VENV)/ready-docs: WANTED := -e ".[fast,serve]" --group docs
$(VENV)/ready-lite: WANTED := -e . --group lite
$(VENV)/ready-%: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "installing what this needs into $(VENV)/: a minute or two"
	@# the pip that Python 3.11 brings knows no dependency groups
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt $(WANTED)
	@touch $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "asyncsim needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
			"Name another one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made; on Debian and Ubuntu:" \
			"apt-get install python3-venv" >&2; exit 1; }
