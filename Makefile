# The few commands of everyday work; `.ci/run` uses the same ones.

CARGO ?= cargo
# The integration tests wait for servers most of the time.
RUST_TEST_THREADS ?= 5
FUZZ_SECONDS ?= 1200

.PHONY: image run test soak fuzz check fmt docs

# The daemon on an embedded SQLite database: nothing else is needed.
run:
	$(CARGO) run --locked -- -c config/demo.toml

# Needs Rust and a C compiler. As root it installs the missing servers, otherwise it names their packages.
test:
	tests/bench/install
	RUST_TEST_THREADS=$(RUST_TEST_THREADS) $(CARGO) test --locked

# Ten minutes of everything going wrong at once beside three hundred targets; `make test` does half a minute of it.
soak:
	SOAK_SECONDS=600 $(CARGO) test --locked --test integration soak:: -- --nocapture

# Coverage-guided, on a nightly compiler; `make test` replays what it found. FUZZ_SECONDS is for all targets together.
fuzz:
	fuzz/run $(FUZZ_SECONDS)

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

fmt:
	$(CARGO) fmt --all

# Writes docs/checks/ anew from the program. The same test, without the variable, fails when a page is stale.
docs:
	UPDATE_DOCS=1 $(CARGO) test --locked --test integration documentation::every_check_has_its_page

# The container image, by buildah, as root. BUILDER is its base; without one it is made from Debian's packages and this
# machine's Rust. IMAGE_OPTIONS go to buildah.
image:
	BUILDAH_ISOLATION=chroot buildah build --format docker --layers $(IMAGE_OPTIONS) \
		--build-arg BUILDER="$${BUILDER:-$$(deploy/container/make-base)}" \
		--build-arg REVISION="$$(git rev-parse HEAD)" --tag localhost/heartbeatd .
	deploy/container/try localhost/heartbeatd
