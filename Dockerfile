# Builds with BuildKit and with the classic builder: no syntax line, no mounts.
#
#   docker build -t evenkeel .                      static, from nothing
#   docker build -t evenkeel --target runtime .     on a base with libc
#
# deploy/offline has what is needed where no image registry can be reached.
ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
ARG CARGO_FLAGS=--locked
# What `evenkeel version -o json` shows.
ARG COMMIT=
WORKDIR /source
RUN command -v cc >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev; }
COPY . .
# As deploy/static.sh does; one program is for both images.
RUN EVENKEEL_COMMIT="${COMMIT}" cargo rustc --release ${CARGO_FLAGS} -p evenkeel --bin evenkeel \
        -- -C target-feature=+crt-static \
    && install -D target/release/evenkeel /out/evenkeel

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
