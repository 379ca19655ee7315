"""TLS: the trusted certificates, and the memory of a connection."""

from __future__ import annotations

import asyncio
import os
import ssl
from asyncio.sslproto import SSLProtocol

from asyncllm.errors import ConfigError

# Variables that name trusted certificates, as curl, requests and OpenSSL know them; the first that is set counts.
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# The events of many streams fit into it, and a long answer still comes at 200 MB/s. With it a thousand open streams
# take 68 MB rather than 306, and each chunk less CPU: asyncio sets as much memory aside for every read.
RECEIVE_BUFFER_BYTES = 8 * 1024


def tls_context() -> ssl.SSLContext:
    """Return a context that trusts the environment's certificates, else the system's, else certifi's.

    Raises:
        ConfigError: What the environment names cannot be read.
    """
    variable = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
    named = os.environ[variable] if variable else None
    is_directory = named is not None and os.path.isdir(named)
    try:
        context = ssl.create_default_context(
            cafile=None if is_directory else named, capath=named if is_directory else None
        )
    except OSError as error:
        raise ConfigError(
            f"{variable} names {named}, from which no certificates can be read: {error}.",
            hint=f"Correct {variable}, or unset it.",
        ) from None
    if named is None and not context.cert_store_stats()["x509_ca"]:
        try:
            import certifi
        except ImportError:
            return context  # nothing is trusted then, and every certificate is refused
        context.load_verify_locations(certifi.where())
    return context


def bound_receive_buffer(transport: asyncio.BaseTransport | None) -> None:
    """Replace the receive buffer of 256 KiB of a connection that asyncio encrypts by a small one.

    There is no public API for it. This changes the one connection, not the class, and only where asyncio is built as
    expected: on another interpreter or another kind of loop the connection stays as it is.
    """
    protocol = getattr(transport, "_ssl_protocol", None)
    if type(protocol) is not SSLProtocol:
        return
    held = vars(protocol)
    known = isinstance(held.get("_ssl_buffer"), bytearray) and isinstance(held.get("_ssl_buffer_view"), memoryview)
    if not known or len(held["_ssl_buffer"]) <= RECEIVE_BUFFER_BYTES:
        return
    # The loop fills it and empties it within one callback, so that here nothing is in it.
    buffer = bytearray(RECEIVE_BUFFER_BYTES)
    held.update(_ssl_buffer=buffer, _ssl_buffer_view=memoryview(buffer), max_size=len(buffer))
