# Strowger. `make demo` for a running call centre, `make test` for proof; both install what is missing.

.PHONY: help setup build web test lint demo bench prompts

help: ## this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## install what building and testing need
	@scripts/setup.sh test

web: ## build the pages that the binary serves
	@scripts/setup.sh build
	@npm --prefix web run build --silent

build: web ## the binary: target/release/strowger
	@cargo build --release

test: setup ## every check and test, those with real clients included
	@scripts/test.sh

lint: ## format and clippy alone
	@cargo fmt --all --check
	@cargo clippy --quiet --all-targets -- -D warnings

demo: build ## a live call centre on http://localhost:8080 and SIP port 5060
	@target/release/strowger demo

bench: ## the figures of benches/README.md
	@scripts/setup.sh build
	@cargo bench

prompts: ## speak prompts/*/manifest.toml anew
	@scripts/setup.sh prompts
	@python3 scripts/prompts.py
