//! The architecture: which modules may use which, and where outside crates are at home.

/// Each top-level module and the modules that it may use. A row names only rows above it, so the
/// table cannot hold a cycle.
pub(crate) const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("metrics", &["domain"]),
    ("wire", &["domain", "metrics"]),
    ("storage", &["domain"]),
    ("log", &["domain", "metrics", "wire", "storage"]),
    (
        "projection",
        &["domain", "metrics", "wire", "storage", "log"],
    ),
    ("query", &["domain", "metrics", "log", "projection"]),
    (
        "ledger",
        &["domain", "metrics", "wire", "log", "projection", "query"],
    ),
    ("auth", &["domain", "metrics", "wire", "log"]),
    (
        "backup",
        &["domain", "metrics", "wire", "log", "projection", "auth"],
    ),
    ("export", &["domain", "wire", "log", "projection", "backup"]),
    ("hooks", &["domain"]),
    ("otlp", &["domain", "hooks"]),
    (
        "http",
        &[
            "domain",
            "metrics",
            "wire",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
            "backup",
            "export",
            "hooks",
            "otlp",
        ],
    ),
    (
        "dialects",
        &[
            "domain",
            "metrics",
            "wire",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
            "backup",
            "export",
            "hooks",
            "otlp",
            "http",
        ],
    ),
    (
        "app",
        &[
            "domain",
            "metrics",
            "wire",
            "storage",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
            "backup",
            "export",
            "hooks",
            "otlp",
            "http",
            "dialects",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "metrics",
            "wire",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
            "backup",
            "export",
            "hooks",
            "otlp",
            "http",
            "dialects",
            "app",
        ],
    ),
    (
        "fuzzing",
        &[
            "domain",
            "metrics",
            "wire",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
            "backup",
            "export",
            "hooks",
            "otlp",
            "http",
            "dialects",
            "app",
            "cli",
        ],
    ),
];

/// The modules of `http`. A row uses only rows above it; the root, which puts them together, uses all.
pub(crate) const HTTP: &[&str] = &[
    "raw_schema",
    "dto",
    "problem",
    "origin",
    "connection",
    "refusals",
    "stream_tasks",
    "state",
    "request",
    "past",
    "key_change",
    "response",
    "live",
    "layers",
    "api",
    "ui",
];

/// The module that all dialects use. A dialect uses only this module and its own.
pub(crate) const DIALECT_SDK: &str = "sdk";

/// Paths of outside crates, and other names, and the only places that may name them. A home is a file without its
/// extension, or a directory.
pub(crate) const HOMES: &[(&str, &[&str])] = &[
    ("async_nats::", &["src/log/jetstream"]),
    (
        "redb::",
        &[
            "src/storage",
            "src/projection",
            "src/log/embedded",
            "src/fuzzing",
        ],
    ),
    (
        "axum::",
        &["src/http", "src/dialects", "src/app", "src/fuzzing"],
    ),
    ("hyper::", &["src/app/http_server", "src/fuzzing"]),
    ("hyper_util::", &["src/app/http_server", "src/fuzzing"]),
    ("tokio_rustls::", &["src/app/http_server", "src/app/tls"]),
    ("nkeys::", &["src/log/jetstream"]),
    ("x509_cert::", &["src/app/tls"]),
    ("clap::", &["src/cli"]),
    ("jsonwebtoken::", &["src/auth/jwt"]),
    // The command line installs it as the TLS provider of the client libraries, and the server uses it.
    (
        "ring::",
        &[
            "src/auth/jwt/provider",
            "src/auth/sign_in",
            "src/cli/mod",
            "src/app/tls",
        ],
    ),
    ("governor::", &["src/auth/rate_limit"]),
    (
        "reqwest::",
        &["src/cli", "src/auth/jwt/source", "src/app/traces"],
    ),
    // Everything else makes spans with `tracing`.
    ("opentelemetry::", &["src/metrics/trace", "src/app/traces"]),
    (
        "opentelemetry_sdk::",
        &["src/metrics/trace", "src/app/traces"],
    ),
    ("opentelemetry_otlp::", &["src/app/traces"]),
    ("opentelemetry_http::", &["src/app/traces"]),
    (
        "tracing_opentelemetry::",
        &["src/metrics/trace", "src/app/traces"],
    ),
    // These files decide the status of problems, successes and the failures of each dialect.
    (
        "StatusCode",
        &[
            "src/http/problem",
            "src/http/response/body",
            "src/http/response/success",
            "src/dialects/a2a/failure",
            "src/dialects/agi/failure",
            "src/dialects/apphandoff/failure",
            "src/dialects/otas/failure",
            "src/dialects/sdk/example/failure",
            "src/dialects/truthlocks/failure",
        ],
    ),
    // The rows of every tenant, without a tenant's id.
    (
        "of_all_tenants",
        &[
            "src/projection",
            "src/ledger/expiry",
            "src/ledger/revocation",
        ],
    ),
    ("anyhow::", &["src/app", "src/cli"]),
    ("prometheus_client::", &["src/metrics"]),
    ("rust_embed::", &["src/http/ui"]),
];
