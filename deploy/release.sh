#!/usr/bin/env bash
# Makes dist/evenkeel-<version>-<target>.tar.gz and dist/SHA256SUMS: the program,
# completions, manual pages, service units, manifests, the JSON Schema, the
# documentation and the licences of everything in it. The same sources and the
# same program make the same bytes.
#
#   deploy/release.sh                          builds a static program first
#   deploy/release.sh 0.1.0                    the same, if this is version 0.1.0
#   deploy/release.sh --binary FILE [VERSION]  takes a program as it is
#   deploy/release.sh --out DIR …              writes there instead of dist
#   deploy/release.sh --image …                also the image evenkeel:<version>, and as
#                                              dist/evenkeel-<version>-<target>-image.tar.gz
#                                              for `docker load`; its bytes differ
#
# CARGO_BUILD_TARGET chooses another target, SOURCE_DATE_EPOCH the time of the
# files (the last commit's if not given). Needs python3 and GNU tar; no network,
# once the dependencies are fetched.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022

fail() {
    printf 'release: %s\n' "$*" >&2
    exit 1
}

binary='' wanted='' out='' image=''
while (($#)); do
    case $1 in
        --binary)
            [[ $# -ge 2 ]] || fail "--binary needs a file"
            binary=$(realpath -e -- "$2") || fail "--binary $2: no such file"
            shift
            ;;
        --out)
            [[ $# -ge 2 ]] || fail "--out needs a directory"
            out=$(realpath -m -- "$2")
            shift
            ;;
        --image) image=yes ;;
        -*) fail "$1: no such flag; there are --binary FILE, --out DIR and --image" ;;
        *)
            [[ -z $wanted ]] || fail "$1: there is a version already, $wanted"
            wanted=$1
            ;;
    esac
    shift
done
cd "$(dirname "$0")/.."
out=${out:-dist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}

if [[ -z $binary ]]; then
    binary=$work/program
    deploy/static.sh "$binary" >/dev/null
fi

# The program knows what it is.
told=$("$binary" version --client -o json)
field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)["client"][sys.argv[1]])' "$1" <<<"$told"
}
version=$(field version)
target=$(field target)
[[ -z $wanted || $wanted == "$version" ]] || fail "version $wanted is wanted, but the program is $version"

name=evenkeel-$version-$target
root=$work/$name
mkdir -p "$root"/{completions,man/man1,systemd,kubernetes,docs}

install -m 755 "$binary" "$root/evenkeel"
"$binary" completion bash >"$root/completions/evenkeel.bash"
"$binary" completion zsh >"$root/completions/_evenkeel"
"$binary" completion fish >"$root/completions/evenkeel.fish"
"$binary" completion powershell >"$root/completions/_evenkeel.ps1"
"$binary" man --out "$root/man/man1"
"$binary" schema >"$root/evenkeel.schema.json"
cp deploy/systemd/* "$root/systemd/"
cp deploy/kubernetes/* "$root/kubernetes/"
cp -r docs/*.md docs/adr "$root/docs/"
cp README.md ARCHITECTURE.md LICENSE "$root/"
if [[ -f CHANGELOG.md ]]; then
    cp CHANGELOG.md "$root/"
fi
cargo fetch --quiet --locked --target "$target"
python3 deploy/licences.py "$target" >"$root/LICENSES-OF-DEPENDENCIES.txt"

# Nothing of who built it, where and when.
find "$root" -type d -exec chmod 755 {} +
find "$root" -type f ! -path "$root/evenkeel" -exec chmod 644 {} +
(cd "$root" && find . -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum >SHA256SUMS)
chmod 644 "$root/SHA256SUMS"
mkdir -p "$out"
tar --create --directory "$work" --format=gnu --sort=name --mtime="@$epoch" \
    --owner=0 --group=0 --numeric-owner "$name" | gzip -n >"$work/archive"
mv "$work/archive" "$out/$name.tar.gz"
if [[ -n $image ]]; then
    deploy/offline/image.sh "evenkeel:$version" "$binary" >/dev/null
    docker save "evenkeel:$version" | gzip -n >"$work/image"
    mv "$work/image" "$out/$name-image.tar.gz"
fi
(cd "$out" && sha256sum -- evenkeel-*.tar.gz >SHA256SUMS)
printf '%s\n' "$out/$name.tar.gz"
