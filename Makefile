# The few commands of everyday work; `.ci/run` uses the same ones.

CARGO ?= cargo
# The integration tests wait for servers most of the time.
RUST_TEST_THREADS ?= 5
FUZZ_SECONDS ?= 1200
# Who builds a package is its maintainer.
MAINTAINER ?= heartbeatd contributors <heartbeatd@example.org>

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MACHINE := $(shell uname -m)
ARTIFACTS := target/release-artifacts
IMAGE := localhost/heartbeatd

.PHONY: run test soak fuzz check fmt docs binary deb image static release try-deb try-static

# The daemon on an embedded SQLite database: nothing else is needed.
run:
	$(CARGO) run --locked -- -c config/demo.toml

# Needs Rust and a C compiler. As root it installs the missing servers, otherwise it names their packages. FEATURES are
# cargo's, beside the default ones.
test:
	tests/bench/install
	RUST_TEST_THREADS=$(RUST_TEST_THREADS) $(CARGO) test --locked $(if $(FEATURES),--features $(FEATURES))

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

# What is built to be installed. README.md, "Install", says what each needs and how long it takes.

# The program, linked to glibc, in target/release.
binary:
	$(CARGO) build --release --locked --bin heartbeatd

# The Debian package, in target/release-artifacts. Needs cargo-deb (cargo install --locked cargo-deb) and dpkg-dev.
deb: binary
	DEB_MAINTAINER="$(MAINTAINER)" deploy/debian/prepare target/release/heartbeatd target/deb
	mkdir -p $(ARTIFACTS)
	$(CARGO) deb --locked --no-build --maintainer "$(MAINTAINER)" --output $(ARTIFACTS)/

# Installs, runs, upgrades and purges the package in a root of its own, as root with debootstrap; lintian reads it.
try-deb: deb
	package=$$(ls -t $(ARTIFACTS)/heartbeatd_$(VERSION)-1_*.deb | head -n 1) && \
		lintian --fail-on error "$$package" && deploy/debian/try "$$package"

# The container image, by buildah, as root. BUILDER is its base; without one it is made from Debian's packages and this
# machine's Rust. IMAGE_OPTIONS go to buildah. Behind a proxy with certificates of its own:
# IMAGE_OPTIONS='--volume /etc/ssl/certs/ca-certificates.crt:/run/ca.crt:ro --build-arg CARGO_HTTP_CAINFO=/run/ca.crt'
image:
	BUILDAH_ISOLATION=chroot buildah build --format docker --layers $(IMAGE_OPTIONS) \
		--build-arg BUILDER="$${BUILDER:-$$(deploy/container/make-base)}" --build-arg VERSION=$(VERSION) \
		--build-arg REVISION="$$(git rev-parse HEAD)" --tag $(IMAGE) .
	deploy/container/try $(IMAGE)

# One file without any library, for machines with another or an older C library: in target/release-artifacts. Needs
# `rustup target add x86_64-unknown-linux-musl` and musl-gcc (Debian: musl-tools).
static:
	CC_$(MACHINE)_unknown_linux_musl=musl-gcc $(CARGO) build --release --locked --bin heartbeatd \
		--target $(MACHINE)-unknown-linux-musl
	install -D -m 755 target/$(MACHINE)-unknown-linux-musl/release/heartbeatd \
		$(ARTIFACTS)/heartbeatd-$(VERSION)-$(MACHINE)-linux-musl

# Runs it in an empty root, as root.
try-static: static
	deploy/static/try $(ARTIFACTS)/heartbeatd-$(VERSION)-$(MACHINE)-linux-musl

# Binary, package and image with their checksums, in target/release-artifacts; with the static program, if `make static` ran.
release: deb image
	install -m 755 target/release/heartbeatd $(ARTIFACTS)/heartbeatd-$(VERSION)-$(MACHINE)-linux-gnu
	rm -f $(ARTIFACTS)/heartbeatd-$(VERSION)-image.tar
	buildah push $(IMAGE) docker-archive:$(ARTIFACTS)/heartbeatd-$(VERSION)-image.tar:$(IMAGE):$(VERSION)
	cd $(ARTIFACTS) && sha256sum heartbeatd-$(VERSION)-* heartbeatd_$(VERSION)-* > SHA256SUMS && cat SHA256SUMS
