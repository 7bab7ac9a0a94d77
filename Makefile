# What there is to do, one word each. `make help` tells.

CARGO ?= cargo
# The quick profile by default: on a fresh machine it serves minutes sooner, and the gateway is far from its limits when
# somebody tries it out. For work: make run PROFILE=release
PROFILE ?= dev
# What `make run` is called with: make run ARGS="--listen 127.0.0.1:9000"
ARGS ?= --demo
BINARY = $(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/atryum

.DEFAULT_GOAL := help
.PHONY: help build run test setup lint format doc bench deny

help: ## Tell what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: ## Build the gateway
	$(CARGO) build --locked --profile $(PROFILE)

run: build ## Build it and start it with a demo server; state in the usual directories
	exec $(BINARY) serve $(ARGS)

test: setup lint ## Install what the tests need, and run everything there is
	$(CARGO) test --locked --workspace
	$(MAKE) doc

setup: ## Install what the tests need beyond Rust
	sh tests/setup.sh

lint: ## Look at format, lints and shell scripts
	$(CARGO) fmt --all --check
	$(CARGO) fmt --check --manifest-path bench/Cargo.toml
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	sh -n tests/setup.sh .ci/run

format: ## Bring the sources into form
	$(CARGO) fmt --all

doc: ## Build the crate's documentation, private items and all
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

bench: ## Measure what a call costs, in release, on an idle machine; BENCH="--rows 1x1024" for less
	$(CARGO) build --locked --release
	$(CARGO) bench --locked --bench decide
	cd bench && $(CARGO) run --locked --release -- run --gateway "$(abspath $(or $(CARGO_TARGET_DIR),target)/release/atryum)" $(BENCH)

deny: ## Look at licences, sources and duplicates of the crates; needs cargo-deny
	$(CARGO) deny --all-features check bans licenses sources
