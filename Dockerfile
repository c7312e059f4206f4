# syntax=docker/dockerfile:1
# The binary alone, run by a user who owns nothing. docs/operations.md says what was tried of this.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# librdkafka and its OpenSSL are linked in here; zlib is the system's.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    CARGO_TARGET_DIR=/target cargo build --release --locked --package ironledger --features tls \
    && install -D /target/release/ironledger /out/ironledger

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin ironledger
COPY --from=build /out/ironledger /usr/local/bin/ironledger
USER 10001
EXPOSE 8080
ENTRYPOINT ["ironledger"]
CMD ["help"]
