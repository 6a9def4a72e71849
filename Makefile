# Every task of the project. `make run` and `make test` need only Python 3.11, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SEEDS ?= 20
JOBS ?= 12
CALL_JOBS ?= 12

.PHONY: run test check format lint types unit spark lab lab-accuracy bench wheel schema messages lock clean

run: $(READY)  ## set up and run the demonstration
	$(BIN)/probe demo

test: $(READY)  ## set up and pass every check and test
	$(MAKE) --jobs 2 check $(if $(CI),spark)
	$(MAKE) unit lab

$(READY): pyproject.toml requirements-dev.lock requirements-ooni.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	# OONI's parser pins versions that exclude ours, and needs nothing but these two: a second opinion in tests only.
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-ooni.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(READY)

check: lint types

format: $(READY)  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix-only probe tests benchmarks
	$(BIN)/ruff format probe tests benchmarks

lint: $(READY)
	$(BIN)/ruff check probe tests benchmarks
	$(BIN)/ruff format --check probe tests benchmarks

types: $(READY)
	$(BIN)/mypy

unit: $(READY)  ## every test that needs nothing but loopback
	$(BIN)/pytest -m "not lab and not cluster" -n 4
	$(BIN)/pytest -m cluster

spark: .spark/.ready  ## Apache Spark for the tests of the cluster: 434 MB; they are skipped without it

# Its source archive is the whole of it; installing would only pack and unpack it again.
.spark/.ready: requirements-spark.lock | $(READY)
	rm -rf .spark && mkdir -p .spark/python
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-spark.lock -d .spark
	tar -xzf .spark/pyspark-*.tar.gz -C .spark --wildcards --no-wildcards-match-slash \
	  --transform 's,^[^/]*/deps/,,;s,^[^/]*/lib/,python/lib/,' '*/deps/jars/*' '*/deps/bin/*' '*/lib/*.zip'
	rm .spark/pyspark-*.tar.gz
	touch .spark/.ready

lab: $(READY)  ## every scenario once, in network namespaces (root)
	$(BIN)/pytest -m "lab and not calls" -n $(JOBS)
	$(BIN)/pytest -m "lab and calls" -n $(CALL_JOBS)

lab-accuracy: $(READY)  ## every scenario $(SEEDS) times, and the table of states and mechanisms
	$(BIN)/python -m tests.lab.accuracy --seeds $(SEEDS) --jobs $(JOBS)

bench: $(VENV)/.bench  ## print every benchmark's ratio against its peer or limit
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

$(VENV)/.bench: requirements-bench.lock | $(READY)  # the peers that only benchmarks need
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	touch $@

wheel: $(READY)  ## build the source archive and the wheel into dist/
	$(BIN)/hatchling build -d dist

schema: $(READY)  ## write the JSON Schema of result files
	$(BIN)/python -m probe.store > results/schema.json

messages: $(READY)  ## collect the texts that volunteers read, and compile the translations
	$(BIN)/python -m babel.messages.frontend -q extract -F pyproject.toml --no-location --omit-header --sort-output -w 100 -k _ -k N_ -k _n:1,2 -o probe/locale/callreach.pot probe
	$(BIN)/pybabel -q update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date -w 100 -D callreach -i probe/locale/callreach.pot -d probe/locale
	$(BIN)/pybabel -q compile -D callreach -d probe/locale

lock: $(READY)  ## resolve the development environment anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --extra mmdb --extra threema --extra collector --extra analysis --extra spark --extra clickhouse --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements-dev.lock
	$(BIN)/uv pip compile --group bench --constraint requirements-dev.lock --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements-bench.lock
	# What a collector, a far end and a volunteer run with, at the same versions, for the container and for servers.
	$(BIN)/uv pip compile pyproject.toml --extra collector --constraint requirements-dev.lock --universal \
	  --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
