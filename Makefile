# The commands of everyday work; `.ci/run` uses the same ones.

CARGO ?= cargo
# The integration tests wait for servers most of the time.
RUST_TEST_THREADS ?= 5
FUZZ_SECONDS ?= 1200
# The maintainer in a package is the person who builds it.
MAINTAINER ?= heartbeatd contributors <heartbeatd@example.org>

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MACHINE := $(shell uname -m)
ARTIFACTS := target/release-artifacts
IMAGE := localhost/heartbeatd

.PHONY: run test soak fuzz check fmt docs binary deb image static release try-deb try-static

# The daemon on an embedded SQLite database; it needs nothing else.
run:
	$(CARGO) run --locked -- -c config/demo.toml

# Needs Rust and a C compiler. As root it installs missing servers, otherwise it names their packages. FEATURES are
# cargo features in addition to the default ones.
test:
	tests/bench/install
	RUST_TEST_THREADS=$(RUST_TEST_THREADS) $(CARGO) test --locked $(if $(FEATURES),--features $(FEATURES))

# Ten minutes of many faults at once, beside three hundred targets, and the simulation with twenty seeds; `make test`
# runs half a minute and two seeds of them.
soak:
	SIMULATION_SEEDS=20 $(CARGO) test --locked --test integration random_faults
	SOAK_SECONDS=600 $(CARGO) test --locked --test integration soak:: -- --nocapture

# Guided by coverage, on a nightly compiler; `make test` replays what it found. All targets share FUZZ_SECONDS.
fuzz:
	fuzz/run $(FUZZ_SECONDS)

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

fmt:
	$(CARGO) fmt --all

# Regenerates docs/checks/ from the program. Without the variable the same test fails when a page is stale.
docs:
	UPDATE_DOCS=1 $(CARGO) test --locked --test integration documentation::every_check_has_its_page

# What users install. README.md, "Install", says what each target needs and how long it takes.

# The program, linked to glibc, in target/release.
binary:
	$(CARGO) build --release --locked --bin heartbeatd

# The Debian package, in target/release-artifacts. Needs cargo-deb (cargo install --locked cargo-deb) and dpkg-dev.
deb: binary
	DEB_MAINTAINER="$(MAINTAINER)" deploy/debian/prepare target/release/heartbeatd target/deb
	mkdir -p $(ARTIFACTS)
	$(CARGO) deb --locked --no-build --maintainer "$(MAINTAINER)" --output $(ARTIFACTS)/

# Installs, runs, upgrades and purges the package in a separate root, then runs lintian. Needs root and debootstrap.
try-deb: deb
	package=$$(ls -t $(ARTIFACTS)/heartbeatd_$(VERSION)-1_*.deb | head -n 1) && \
		lintian --fail-on error "$$package" && deploy/debian/try "$$package"

# The container image, built by buildah as root. BUILDER is its base image; without it, one is made from Debian's
# packages and this machine's Rust. IMAGE_OPTIONS go to buildah. Behind a proxy with its own certificates:
# IMAGE_OPTIONS='--volume /etc/ssl/certs/ca-certificates.crt:/run/ca.crt:ro --build-arg CARGO_HTTP_CAINFO=/run/ca.crt'
image:
	BUILDAH_ISOLATION=chroot buildah build --format docker --layers $(IMAGE_OPTIONS) \
		--build-arg BUILDER="$${BUILDER:-$$(deploy/container/make-base)}" --build-arg VERSION=$(VERSION) \
		--build-arg REVISION="$$(git rev-parse HEAD)" --tag $(IMAGE) .
	deploy/container/try $(IMAGE)

# One file without libraries, for machines with another or an older C library; in target/release-artifacts. Needs
# `rustup target add x86_64-unknown-linux-musl` and musl-gcc (Debian: musl-tools).
static:
	CC_$(MACHINE)_unknown_linux_musl=musl-gcc $(CARGO) build --release --locked --bin heartbeatd \
		--target $(MACHINE)-unknown-linux-musl
	install -D -m 755 target/$(MACHINE)-unknown-linux-musl/release/heartbeatd \
		$(ARTIFACTS)/heartbeatd-$(VERSION)-$(MACHINE)-linux-musl

# Runs it in an empty root, as root.
try-static: static
	deploy/static/try $(ARTIFACTS)/heartbeatd-$(VERSION)-$(MACHINE)-linux-musl

# Binary, package and image with their checksums, in target/release-artifacts; also the static program, if `make static`
# ran.
release: deb image
	install -m 755 target/release/heartbeatd $(ARTIFACTS)/heartbeatd-$(VERSION)-$(MACHINE)-linux-gnu
	rm -f $(ARTIFACTS)/heartbeatd-$(VERSION)-image.tar
	buildah push $(IMAGE) docker-archive:$(ARTIFACTS)/heartbeatd-$(VERSION)-image.tar:$(IMAGE):$(VERSION)
	cd $(ARTIFACTS) && sha256sum heartbeatd-$(VERSION)-* heartbeatd_$(VERSION)-* > SHA256SUMS && cat SHA256SUMS
