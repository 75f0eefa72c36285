#!/usr/bin/env bash
# Makes the base images that the Dockerfile and the compose file name, under
# their public names, from Debian packages: for machines that can reach a Debian
# mirror but no image registry.
#
#   deploy/offline/bases.sh runtime       the base of the image with libc
#   deploy/offline/bases.sh prometheus    the image of Prometheus
#   deploy/offline/bases.sh rust          the base that the program is built on
#
# Without an argument it makes the first two. Images that are there already are
# left alone. The last one needs root and debootstrap; it has this machine's Rust
# and, unlike the public one, the crates of Cargo.lock:
#
#   docker build --build-arg CARGO_FLAGS="--locked --offline" .
set -euo pipefail

# The user of the images; the same number as in the public ones.
readonly NONROOT=65532

readonly RUNTIME=gcr.io/distroless/cc-debian12:nonroot
readonly PROMETHEUS=prom/prometheus:v2.42.0
readonly RUST=rust:1.95-slim-bookworm

repository=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The files of some Debian packages, without running their scripts.
unpack() {
    local root=$1
    shift
    mkdir -p "$root" "$work/packages"
    (cd "$work/packages" && apt-get download -q "$@" >/dev/null)
    for package in "$work"/packages/*.deb; do
        dpkg -x "$package" "$root"
    done
    rm -rf "$work/packages"
    rm -rf "$root"/usr/share/{doc,man,lintian,locale,bug}
}

# The users, and a certificate bundle from the package's single files.
finish() {
    local root=$1
    mkdir -p "$root"/{etc/ssl/certs,tmp,home/nonroot,var/lib}
    chmod 1777 "$root/tmp"
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:%s:%s:nonroot:/home/nonroot:/sbin/nologin\n' \
        $NONROOT $NONROOT >"$root/etc/passwd"
    printf 'root:x:0:\nnonroot:x:%s:\n' $NONROOT >"$root/etc/group"
    printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
    if [ -d "$root/usr/share/ca-certificates/mozilla" ]; then
        cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
    fi
}

import() {
    local root=$1 image=$2
    shift 2
    tar --numeric-owner --owner=0 --group=0 -C "$root" -c . | docker import "$@" - "$image" >/dev/null
    echo "made $image"
}

present() {
    docker image inspect "$1" >/dev/null 2>&1 && echo "$1 is there"
}

runtime() {
    present $RUNTIME && return
    local root=$work/runtime
    unpack "$root" libc6 libgcc-s1 ca-certificates tzdata base-files netbase
    finish "$root"
    import "$root" $RUNTIME --change "USER $NONROOT:$NONROOT" --change 'WORKDIR /home/nonroot' \
        --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
}

prometheus() {
    present $PROMETHEUS && return
    local root=$work/prometheus
    unpack "$root" libc6 ca-certificates tzdata base-files netbase prometheus
    finish "$root"
    mkdir -p "$root/prometheus" "$root/bin"
    cp "$root/usr/bin/prometheus" "$root/bin/prometheus" 2>/dev/null || true
    chmod 1777 "$root/prometheus"
    import "$root" $PROMETHEUS --change 'USER 65534:65534' --change 'WORKDIR /prometheus' \
        --change 'ENTRYPOINT ["/bin/prometheus"]'
}

rust() {
    present $RUST && return
    local root=$work/rust
    local home=$root/usr/local/cargo
    debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev bookworm "$root" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >/dev/null
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    mkdir -p "$home/registry"
    cp -a "$(rustc --print sysroot)" "$root/usr/local/rust"
    rm -rf "$root/usr/local/rust/share"
    cargo fetch --quiet --locked --manifest-path "$repository/Cargo.toml"
    cp -a "${CARGO_HOME:-$HOME/.cargo}"/registry/{index,cache} "$home/registry/"
    import "$root" $RUST --change 'ENV CARGO_HOME=/usr/local/cargo' \
        --change 'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
}

for image in "${@:-runtime prometheus}"; do
    for one in $image; do
        "$one"
    done
done
