# Screendoor. Everything is installed into .venv; `make demo` and `make test` set up what they need.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests
TOOLS := sipp stunnel4 svmap tcpdump kamailio rtpengine espeak-ng ip nft initdb
PACKAGES := sip-tester stunnel4 sipvicious tcpdump kamailio kamailio-tls-modules rtpengine-daemon espeak-ng iproute2 nftables libopus0 postgresql
BENCH_PACKAGES := sip-tester stunnel4 kamailio kamailio-tls-modules rtpengine-daemon
WHERE = $$PATH:/usr/sbin$$(printf ':%s' /usr/lib/postgresql/*/bin)
NO_CLUSTER := /etc/postgresql-common/createcluster.d/none.conf
PYTEST_ARGS ?=
ARGS ?=
LOCK_ARGS ?=
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
COMPILE = $(VENV)-lock/bin/pip-compile --quiet --no-config --generate-hashes --strip-extras --allow-unsafe --no-header \
  --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links $(LOCK_ARGS)

.PHONY: setup tools demo test bench bench-tools bench-lock lint lock clean

setup: $(TEST_STAMP) tools   ## everything the tests need: Python packages, and the programs of TOOLS

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Screendoor needs Python 3.11 or later; say which one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(TEST_STAMP): $(STAMP) requirements-test.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.lock
	@touch $@

# Debian would start a PostgreSQL server of its own with the package; the tests start theirs.
tools:
	@missing=; for tool in $(TOOLS); do PATH="$(WHERE)" command -v $$tool >/dev/null 2>&1 || missing=yes; done; \
	case "$(PACKAGES)" in *libopus0*) PATH="$(WHERE)" ldconfig -p | grep -q libopus.so || missing=yes;; esac; \
	test -z "$$missing" && exit 0; \
	if ! command -v apt-get >/dev/null 2>&1; then \
	  echo "The tests need $(TOOLS) and libopus, and there is no apt-get here: install them by hand, on PATH." >&2; exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then root=; elif command -v sudo >/dev/null 2>&1; then root=sudo; \
	else echo "The tests need what one command installs; as root: apt-get install $(PACKAGES)" >&2; exit 1; fi; \
	case "$(PACKAGES)" in *postgresql*) test -e /etc/postgresql-common || $$root sh -c \
	  'mkdir -p $$(dirname $(NO_CLUSTER)) && echo "create_main_cluster = false" >$(NO_CLUSTER)';; esac; \
	$$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(PACKAGES) >/dev/null \
	  || { echo "apt-get could not install $(PACKAGES); the tests need them." >&2; exit 1; }

demo: $(STAMP)          ## one whole screened call through the lab
	$(VENV)/bin/screendoor demo

test: setup             ## every test, with the coverage that is asked for
	$(VENV)/bin/python -m pytest --cov --cov-report= $(PYTEST_ARGS)
	$(VENV)/bin/coverage report --include='proxy/sip/*' --skip-covered --show-missing --fail-under=100
	$(VENV)/bin/coverage report --omit='proxy/sip/*,proxy/lab/*' --skip-covered --show-missing --fail-under=95

bench: $(STAMP) $(BENCH_STAMP) bench-tools   ## us beside our peers; ARGS="--only cpu,tls --repeat 1 --quick --write --profile"
	BENCH_VENV=$(BENCH_VENV) $(VENV)/bin/python -m bench $(ARGS)

$(BENCH_STAMP): bench/requirements.txt
	@test -x $(BENCH_VENV)/bin/pip || $(PYTHON) -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $< && touch $@ \
	  || echo "The Python peers could not be installed: their rows will be missing." >&2

bench-tools:            # a peer that cannot be had costs its own rows alone
	@missing=; for tool in sipp stunnel4 kamailio rtpengine; do PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || missing=yes; done; \
	test -z "$$missing" || $(MAKE) --no-print-directory tools TOOLS="sipp stunnel4 kamailio rtpengine" PACKAGES="$(BENCH_PACKAGES)" \
	  || echo "Not all of $(BENCH_PACKAGES) could be installed: some rows will be missing." >&2

lint: $(TEST_STAMP)
	$(VENV)/bin/ruff check proxy screening tests bench
	$(VENV)/bin/mypy

# pip-compile forgets for which interpreters there is no wheel: the last line of the recipe says it again.
lock:                   ## pin what pyproject.toml allows, keep what is pinned (LOCK_ARGS=--upgrade renews); names no host
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet pip-tools
	$(COMPILE) --extra test --output-file requirements-test.lock pyproject.toml
	cp requirements-test.lock requirements.lock
	$(COMPILE) --output-file requirements.lock pyproject.toml
	for lock in requirements.lock requirements-test.lock; do \
	  sed -i '1i # Made from pyproject.toml by "make lock": every package with its version and hashes.' $$lock; done
	sed -i -E 's/^(atheris==[^ ]+) /\1 ; python_version < "3.12" /; s/^(pjsua2-python==[^ ]+) /\1 ; python_version < "3.13" /' \
	  requirements-test.lock
	rm -rf $(VENV)-lock

bench-lock:             ## pin the Python peers
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet pip-tools
	$(COMPILE) --output-file bench/requirements.txt bench/requirements.in
	sed -i '1i # Made from bench/requirements.in by "make bench-lock": every package with its version and hashes.' bench/requirements.txt
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) $(VENV)-lock $(BENCH_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage voicemail calls.jsonl
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
