"""TLS: the CAs to trust, and a certificate of the client."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from servers import Server
from session_ledger import Ledger, NoAnswerError


def test_tls_and_a_certificate_of_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    ca, cert, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    options = ("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca)
    server = Server(tmp_path, *options)
    try:
        assert server.url.startswith("https://")
        with Ledger(server.url, server.key, verify=ca, cert=(cert, key)) as ledger:
            assert ledger.status().tenant == "acme"
        context = ssl.create_default_context(cafile=ca)
        with Ledger(server.url, server.key, verify=context, cert=(cert, key)) as ledger:
            assert ledger.status().tenant == "acme"
        with Ledger(server.url, server.key, verify=False, cert=(cert, key)) as ledger:
            assert ledger.status().tenant == "acme"
        with Ledger(server.url, server.key, cert=(cert, key), max_retries=0) as ledger:
            with pytest.raises(NoAnswerError, match="certificate verify failed"):
                ledger.status()
        monkeypatch.setenv("SESSION_LEDGER_CA_CERT", ca)
        with Ledger(server.url, server.key, max_retries=0) as ledger:
            with pytest.raises(NoAnswerError):
                ledger.status()
        monkeypatch.setenv("SESSION_LEDGER_CLIENT_CERT", cert)
        monkeypatch.setenv("SESSION_LEDGER_CLIENT_KEY", key)
        with Ledger(server.url, server.key) as ledger:
            assert ledger.status().tenant == "acme"
    finally:
        server.stop()
