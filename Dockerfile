# The image of heartbeatd: nothing but the program, the libraries it is linked to, the authorities that Debian trusts, and a
# user. No shell. Build it with `make image`, or with `docker build .` where Docker Hub can be reached.

# Any image with Rust 1.94 or later, a C compiler and glibc. What it holds is what ships.
ARG BUILDER=docker.io/library/rust:1.95-bookworm
# hadolint ignore=DL3006
FROM ${BUILDER} AS build
# Where the registry is reached through a proxy with certificates of its own: the file of its authority, mounted.
ARG CARGO_HTTP_CAINFO
WORKDIR /build

# The dependencies alone, so that a change of the sources builds only these again.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/integration \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs tests/integration/main.rs \
 && cargo build --release --locked --bin heartbeatd

COPY config config
COPY migrations migrations
COPY src src
# Newer than the empty ones above, whatever the time of the checkout.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin heartbeatd

COPY deploy/container/lay-root deploy/container/lay-root
RUN deploy/container/lay-root target/release/heartbeatd /image

# What both images say of themselves.
FROM scratch AS described
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="heartbeatd" \
      org.opencontainers.image.description="Keeps change-data-capture connectors alive on quiet databases" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# On loopback nobody outside the container would reach it.
ENV HEARTBEATD_HTTP__LISTEN=0.0.0.0:2328
EXPOSE 2328
# /live and not /health: whoever restarts an unhealthy container must not do so for a database that does not answer.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/usr/bin/heartbeatd", "health", "/live"]
ENTRYPOINT ["/usr/bin/heartbeatd"]

FROM described AS image
COPY --from=build /image /
# The program runs with a read-only root. For a SQLite file, mount a volume here that this user may write.
WORKDIR /var/lib/heartbeatd
USER 65532:65532

# The second target, `docker build --target oci .`: the same with Oracle's client in C (docs/databases/oracle.md). Oracle's
# libraries are mounted and not shipped; of the system's libraries here are those that they are linked to beside libaio.
FROM build AS build-oci
ARG CARGO_HTTP_CAINFO
RUN cargo build --release --locked --features oracle-oci --bin heartbeatd \
 && deploy/container/lay-root target/release/heartbeatd /image \
 && system=$(dirname "$(sed -n 's|.*=> \(/[^ ]*/libc\.so\.6\) .*|\1|p' /tmp/libraries)") \
 && for library in libdl.so.2 libm.so.6 libnsl.so.1 libpthread.so.0 libresolv.so.2 librt.so.1; do \
      install -D -m 755 "$system/$library" "/image$system/$library" || exit 1; \
    done

FROM described AS oci
COPY --from=build-oci /image /
ENV LD_LIBRARY_PATH=/opt/oracle/instantclient
WORKDIR /var/lib/heartbeatd
USER 65532:65532

# Without a target, the image without it.
FROM image
