# The ledger in a small image. Plain instructions only, so that every builder can run it.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src

# Dependencies first: this layer is built again only when the manifest or the lock file changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin session-ledger

COPY schemas schemas
COPY src src
# Cargo compares time stamps, and the sources may be older than the placeholders were.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin session-ledger \
    && mkdir /data

# The same Debian release as above, because the binary is linked against its C library.
FROM debian:bookworm-slim
COPY --from=build /src/target/release/session-ledger /usr/local/bin/session-ledger
# A new named volume takes over the owner of the directory that it is mounted on.
COPY --from=build --chown=65532:65532 /data /var/lib/session-ledger

# A number, so that an orchestrator can tell that it is not root.
USER 65532:65532
WORKDIR /var/lib/session-ledger
EXPOSE 8787
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
    CMD ["session-ledger", "doctor", "--url", "http://127.0.0.1:8787"]
ENTRYPOINT ["session-ledger"]
CMD ["serve", "--data-dir", "/var/lib/session-ledger"]
