# Builds with BuildKit and with the classic builder: no syntax line, no mounts,
# and the stages in an order in which the classic builder does nothing in vain.
# The classic one makes `prebuilt` in any case, so it needs the files of dist/,
# which deploy/offline/up.sh makes.
#
#   docker build -t evenkeel .                      static, from nothing
#   docker build -t evenkeel --target runtime .     on a base with libc
#   docker build -t evenkeel --target prebuilt .    with dist/evenkeel as it is
ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# What was built on this machine: dist/evenkeel, which must be static.
FROM scratch AS prebuilt
COPY --chown=65532:65532 deploy/image/ /
COPY dist/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY dist/evenkeel /usr/local/bin/evenkeel
ENV PATH=/usr/local/bin
USER 65532:65532
WORKDIR /var/lib/evenkeel
ENTRYPOINT ["/usr/local/bin/evenkeel"]

FROM ${RUST_IMAGE} AS build
ARG CARGO_FLAGS=--locked
ARG TARGET=x86_64-unknown-linux-gnu
WORKDIR /source
RUN command -v cc >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev; }
COPY . .
# With an explicit target, the flags are not for build scripts and macros.
RUN RUSTFLAGS="-C target-feature=+crt-static" cargo build --release ${CARGO_FLAGS} --target ${TARGET} \
    && install -D "target/${TARGET}/release/evenkeel" /out/evenkeel

# On a base with libc, time zones and authorities; there is no shell in it either.
FROM ${RUNTIME_IMAGE} AS runtime
COPY --chown=65532:65532 deploy/image/ /
COPY --from=build /out/evenkeel /usr/local/bin/evenkeel
USER 65532:65532
WORKDIR /var/lib/evenkeel
ENTRYPOINT ["/usr/local/bin/evenkeel"]

# Nothing but the program and the authorities to trust.
FROM scratch AS static
COPY --chown=65532:65532 deploy/image/ /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/evenkeel /usr/local/bin/evenkeel
ENV PATH=/usr/local/bin
USER 65532:65532
WORKDIR /var/lib/evenkeel
ENTRYPOINT ["/usr/local/bin/evenkeel"]
