#!/usr/bin/env bash
# Makes the image of a program that is there already, without any base image: what
# the stage `static` of the Dockerfile makes.
#
#   deploy/offline/image.sh TAG PROGRAM    with this program, which must be static
set -euo pipefail
tag=$1 program=$(realpath -e -- "$2")
cd "$(dirname "$0")"

if readelf --program-headers "$program" | grep -q INTERP; then
    printf 'image: %s is not static; deploy/static.sh makes one that is\n' "$program" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r ../image "$work/image"
cp Dockerfile "$work/"
strip --strip-debug -o "$work/evenkeel" "$program"
chmod 755 "$work/evenkeel"
# The authorities that this machine trusts, if it does any.
authorities=/etc/ssl/certs/ca-certificates.crt
[[ -s $authorities ]] || authorities=/dev/null
install -m 644 "$authorities" "$work/ca-certificates.crt"
docker build -q -t "$tag" "$work"
