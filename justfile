# The same commands as `.ci/run`, one at a time.

# Formatting, lints, documentation, dependency policy.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    cargo deny check bans licenses sources

# Every test that needs nothing but Rust and a C compiler.
test:
    cargo test --workspace

# The end-to-end suite alone.
e2e *ARGS:
    cargo build
    cargo test -p evenkeel-tests --test suite -- {{ARGS}}

# The tests that need containers, with images made here.
containers:
    .ci/containers "$(deploy/static.sh)"

# The demo, unattended.
demo:
    cargo run --release -- demo --once

# Pushes a file and waits for every proxy.
push FILE:
    cargo run --release -- apply -f {{FILE}} --wait

# Rewrites generated documentation.
bless:
    EVENKEEL_BLESS=1 cargo test -p evenkeel-shared

# The benchmark: `just bench instructions --check`, for example.
bench *ARGS:
    cargo run --release -p evenkeel-bench -- {{ARGS}}
