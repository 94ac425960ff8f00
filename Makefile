# The commands of this repository; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run test fuzz runtime test-training replicate bench crates lint nextest docs
SHELL := /bin/sh
# ONNX Runtime from 1.29 on reports to its maker at start unless this is set.
export ORT_DISABLE_TELEMETRY := 1

# More arguments for `make run`, `make bench` and `make replicate`, e.g. `make run ARGS="--workers 2"`.
ARGS ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

help: ## Lists these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: runtime crates ## Builds in release and serves on 127.0.0.1:8080.
	cargo build --release --locked --bin san-upscaler
	exec $(TARGET_DIR)/release/san-upscaler serve $(ARGS)

test: runtime lint docs nextest ## Format, clippy, rustdoc and every Rust test, the library fetched first.

test-training: ## The tests of models/training, in a Python environment of their own.
	models/training/test.sh

replicate: ## Trains the talk's systems at one small budget into models/zoo (hours; resumes).
	models/training/replicate.sh $(ARGS)

.PHONY: replicate-report
replicate-report: runtime crates ## Measures every model through the service; writes docs/replication.md (hours; resumes).
	cargo build --release --locked --bin san-upscaler
	models/training/replicate-report.sh --binary $(abspath $(TARGET_DIR))/release/san-upscaler $(ARGS)

bench: runtime crates ## The whole service's speed beside the bare session's; more with ARGS="--help".
	cargo bench --locked --bench load -- $(ARGS)

.PHONY: bench-peers bench-documents
bench-peers: runtime crates ## This service beside LitServe, BentoML and FastAPI with the same network; 15 minutes, quiet.
	benches/peers/run.sh $(ARGS)

bench-documents: runtime crates ## Business cards: characters tesseract reads, borders of tiles; installs it as root.
	benches/documents/run.sh $(ARGS)

fuzz: crates ## Fuzzes the decoders by coverage, a minute for each format; more with SECONDS=600.
	fuzz/run.sh $(or $(SECONDS),60)

runtime: ## Fetches the pinned ONNX Runtime that suits this CPU into .runtime/, once.
	@runtime/fetch.sh

# Says what is missing before cargo fails in the middle of a build.
crates:
	@command -v cargo >/dev/null 2>&1 || { \
		echo "make: cargo is missing; install Rust with rustup, which reads rust-toolchain.toml" >&2; exit 1; }
	@cargo fetch --locked --quiet --target "$$(rustc -vV | sed -n 's/^host: //p')" || { \
		echo "make: the crates in Cargo.lock could not be fetched (cargo's words are above); that needs a network once," >&2; \
		echo "      or a folder made by 'cargo vendor' on a machine that has one" >&2; exit 1; }

lint: crates
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

docs: crates
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

# With the variable, a test that finds no ONNX Runtime fails instead of being skipped.
nextest: export UPSCALER_TEST_REQUIRE_RUNTIME := 1
nextest: runtime crates
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --workspace --locked && cargo test --workspace --doc --locked --quiet; \
	else \
		echo "make: cargo-nextest is not installed, so cargo's own runner is used; it has no time limit for a test" >&2; \
		cargo test --workspace --locked; \
	fi

# Deployment: what holds by itself is part of `test`; what needs Prometheus, haproxy and a running server has its own.
.PHONY: manifests test-deploy test-image advisories
test: manifests

manifests: ## Kubernetes manifests against their schemas, rules and dashboards against the metrics.
	@deploy/test/manifests.sh

test-deploy: runtime crates ## Rules, dashboards and a rolling restart on a real server; installs what it needs as root.
	deploy/test/run.sh

advisories: ## Known flaws of the crates, by the RustSec database; needs a network.
	@deploy/test/advisories.sh

test-image: ## Builds the image with buildah and runs it; root, some minutes.
	deploy/test/image.sh
