"""Which ledger a client calls, and as which caller: arguments first, then the environment."""

from __future__ import annotations

import os
import platform
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ._version import VERSION
from .errors import ConfigurationError

#: The default of the command line too.
DEFAULT_URL = "http://127.0.0.1:8787"

#: The server answers a read within 2 s, and a command within 4 s, unless it is overloaded.
DEFAULT_TIMEOUT_SECONDS = 10.0

#: The `source` of events, unless the caller gives one.
DEFAULT_SOURCE = "/clients/python"

Verify = bool | str | ssl.SSLContext
Cert = tuple[str, str]


@dataclass(frozen=True)
class Settings:
    """How to reach a ledger. Its text does not show the key."""

    url: str
    timeout_seconds: float
    headers: dict[str, str] = field(repr=False)
    verify: bool | ssl.SSLContext
    proxy: str | None
    source: str

    def client(self) -> httpx.Client:
        """Makes an HTTP client."""
        return httpx.Client(
            base_url=self.url,
            headers=self.headers,
            timeout=self.timeout_seconds,
            verify=self.verify,
            proxy=self.proxy,
            # A proxy or a .netrc of the environment would see or replace the key.
            trust_env=False,
        )

    def async_client(self) -> httpx.AsyncClient:
        """Makes an asynchronous HTTP client."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers=self.headers,
            timeout=self.timeout_seconds,
            verify=self.verify,
            proxy=self.proxy,
            trust_env=False,
        )


def settings(
    url: str | None,
    key: str | None,
    tenant: str | None,
    timeout: float,
    verify: Verify | None,
    cert: Cert | None,
    proxy: str | None,
    source: str,
) -> Settings:
    """Returns the settings. What the arguments leave out comes from the environment."""
    key = key or _key_of_environment()
    tenant = tenant or _variable("SESSION_LEDGER_TENANT")
    if key is None and tenant is None:
        raise ConfigurationError(
            "a key is required: give key=..., or set SESSION_LEDGER_KEY or "
            "SESSION_LEDGER_KEY_FILE; for a server that requires no credentials, give tenant=..."
        )
    headers = {"User-Agent": f"session-ledger-client/{VERSION} python/{platform.python_version()}"}
    if key is not None:
        if not key.isascii() or not key.isprintable():
            raise ConfigurationError("the key must have visible ASCII characters only")
        headers["Authorization"] = f"Bearer {key}"
    if tenant is not None:
        headers["X-Tenant-ID"] = tenant
    context = _tls(verify, cert)
    given = url or _variable("SESSION_LEDGER_URL") or DEFAULT_URL
    return Settings(
        url=_base(given, tls=isinstance(context, ssl.SSLContext)),
        timeout_seconds=seconds(timeout),
        headers=headers,
        verify=context,
        proxy=proxy,
        source=source,
    )


def environment(source: str) -> Settings:
    """Returns the settings of the environment alone."""
    return settings(None, None, None, DEFAULT_TIMEOUT_SECONDS, None, None, None, source)


def seconds(timeout: float) -> float:
    """Checks a timeout."""
    if timeout <= 0:
        raise ConfigurationError("timeout must be more than 0 seconds")
    return timeout


def _variable(name: str) -> str | None:
    return os.environ.get(name) or None


def _key_of_environment() -> str | None:
    file = _variable("SESSION_LEDGER_KEY_FILE")
    if file is None:
        return _variable("SESSION_LEDGER_KEY")
    try:
        with Path(file).open(encoding="ascii") as lines:
            # No credential is longer.
            return lines.readline(32 * 1024).strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"SESSION_LEDGER_KEY_FILE: cannot read {file}: {error}") from error


def _base(url: str, tls: bool) -> str:
    if "://" not in url:
        url = f"{'https' if tls else 'http'}://{url}"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"url: {url!r} is not a URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"url: {url!r} is not an http:// or https:// URL with a host")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigurationError("url: it must have no user, query or fragment")
    return str(parsed)


def _tls(verify: Verify | None, cert: Cert | None) -> bool | ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext) and cert is None:
        return verify
    if verify is None:
        verify = _variable("SESSION_LEDGER_CA_CERT")
    if cert is None:
        chain, private = (
            _variable("SESSION_LEDGER_CLIENT_CERT"),
            _variable("SESSION_LEDGER_CLIENT_KEY"),
        )
        if (chain is None) != (private is None):
            raise ConfigurationError(
                "set both SESSION_LEDGER_CLIENT_CERT and SESSION_LEDGER_CLIENT_KEY, or neither"
            )
        cert = (chain, private) if chain is not None and private is not None else None
    if cert is None and not isinstance(verify, str):
        return True if verify is None else verify
    try:
        if isinstance(verify, ssl.SSLContext):
            context = verify
        elif isinstance(verify, str):
            context = ssl.create_default_context(cafile=verify)
        else:
            context = httpx.create_ssl_context(verify=verify is not False, trust_env=False)
        if cert is not None:
            context.load_cert_chain(*cert)
    except OSError as error:
        raise ConfigurationError(
            f"verify or cert: cannot use the files for TLS: {error}"
        ) from error
    return context
