#!/usr/bin/env bash
# Builds the program so that it needs no library of the system, and puts it to
# dist/evenkeel.
#
#   deploy/static.sh            or to the FILE that is named:
#   deploy/static.sh FILE
#
# Only the last package is compiled with the flag for it, so everything before is
# shared with a `cargo build` of the same profile: PROFILE, release if not given.
# CARGO_BUILD_TARGET chooses another target. EVENKEEL_COMMIT is what the program
# says it was built from: the last commit, if not given.
set -euo pipefail
out=$(realpath -m -- "${1:-"$(dirname "$0")/../dist/evenkeel"}")
cd "$(dirname "$0")/.."

fail() {
    printf 'static: %s\n' "$*" >&2
    exit 1
}

if [[ -z ${EVENKEEL_COMMIT+given} ]] && EVENKEEL_COMMIT=$(git rev-parse HEAD 2>/dev/null); then
    [[ -z $(git status --porcelain) ]] || EVENKEEL_COMMIT+=-dirty
    export EVENKEEL_COMMIT
fi
messages=$(cargo rustc --locked --profile "${PROFILE:-release}" -p evenkeel --bin evenkeel \
    --message-format json-render-diagnostics -- -C target-feature=+crt-static)
program=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<<"$messages" | tail -n 1)
[[ -n $program ]] || fail "cargo named no program"

# An interpreter in the headers is the loader of shared libraries.
if readelf --program-headers "$program" | grep -q INTERP; then
    fail "$program is not static"
fi
mkdir -p "$(dirname "$out")"
strip --strip-debug -o "$out" "$program"
printf '%s\n' "$out"
