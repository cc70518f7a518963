# The ledger in a small image. Uses only plain instructions, so that every builder can run it.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src

# Build the dependencies first. Docker builds this layer again only when the manifest or the lock
# file changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin session-ledger

COPY schemas schemas
COPY src src
COPY ui ui
# Cargo compares time stamps, and the sources may be older than the placeholders of the layer above.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin session-ledger \
    && mkdir /data

# The Debian release of the build stage, because the binary is linked against its C library.
FROM debian:bookworm-slim
COPY --from=build /src/target/release/session-ledger /usr/local/bin/session-ledger
# Docker gives a new named volume the owner of the directory on which it is mounted.
COPY --from=build --chown=65532:65532 /data /var/lib/session-ledger

# As a number, so that an orchestrator can check that the user is not root.
USER 65532:65532
WORKDIR /var/lib/session-ledger
EXPOSE 8787
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
    CMD ["session-ledger", "doctor", "--url", "http://127.0.0.1:8787"]
ENTRYPOINT ["session-ledger"]
CMD ["serve", "--data-dir", "/var/lib/session-ledger"]
