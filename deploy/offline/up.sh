#!/usr/bin/env bash
# `docker compose up` on a machine that can reach a Debian mirror but no image
# registry: the images are made here, under the names that the compose file has.
#
#   deploy/offline/up.sh                 build the program, then everything
#   deploy/offline/up.sh path/evenkeel   with this program, which must be static
#   deploy/offline/up.sh --images [path] the images only
#
# The program is built with the profile in PROFILE (release if not given).
set -euo pipefail
cd "$(dirname "$0")/../.."

# Jaeger's name is given to our own viewer of traces.
readonly TRACES=jaegertracing/all-in-one:1.76.0

only_images=
if [ "${1:-}" = --images ]; then
    only_images=yes
    shift
fi
program=${1:-$(deploy/static.sh)}
deploy/offline/image.sh evenkeel:dev "$program"
docker build -q -t $TRACES - <<DOCKERFILE
FROM evenkeel:dev
ENTRYPOINT ["/usr/local/bin/evenkeel", "demo", "traces", "--otlp", "0.0.0.0:4317", "--listen", "0.0.0.0:16686"]
DOCKERFILE
deploy/offline/bases.sh prometheus
if [ -n "$only_images" ]; then
    exit
fi

compose=docker-compose
if docker compose version >/dev/null 2>&1; then
    compose="docker compose"
fi
# Version 1 of compose cannot recreate containers of newer engines.
$compose down --remove-orphans
exec $compose up -d --no-build
