"""TLS: the certificates of both sides, and sentences for what may be wrong with them.

A server that speaks TLS and a client that does not, or the other way round, wait for each other. A second connection
finds out which of the two it is.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from aioq.errors import BrokerConfigError
from aioq_redis.client.errors import error_text
from aioq_redis.client.url import Settings

__all__ = ["PATIENCE", "answers_in_plain_text", "answers_in_tls", "tls_context", "tls_error"]

PATIENCE: Final = 0.3
"""Seconds for a handshake, after which the client looks whether the server speaks TLS at all."""

_EXPIRED: Final = 10
_OTHER_HOST: Final = (62, 64)
"""Codes of OpenSSL for a certificate that is not valid: X509_V_ERR_..., for a name and for an address."""

_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""Errors of OpenSSL for bytes that are no TLS."""


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return what a connection by TLS needs.

    Raises:
        BrokerConfigError: A file that the URL names is not what it should be.
    """
    # The authorities of the system count besides the one that the URL names.
    context = ssl.create_default_context()
    context.check_hostname = settings.verify
    context.verify_mode = ssl.CERT_REQUIRED if settings.verify else ssl.CERT_NONE
    if settings.ca_certs:
        try:
            context.load_verify_locations(settings.ca_certs)
        except OSError as error:
            why = "it has no certificate in PEM format" if isinstance(error, ssl.SSLError) else error_text(error)
            raise _bad_file(settings, "ssl_ca_certs", settings.ca_certs, why) from None
    if settings.certfile:
        _load_own(context, settings, settings.certfile)
    return context


def tls_error(settings: Settings, error: ssl.SSLError) -> BrokerConfigError:
    """Return the error for a handshake that one side ended."""
    return BrokerConfigError(f"TLS with {settings.masked} failed: {error_text(error)}; {_advice(settings, error)}")


async def answers_in_plain_text(settings: Settings) -> bool:
    """Return whether a server answers a command without TLS. The command has no secret."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(settings.host, settings.port)
            try:
                writer.write(b"PING\r\n")
                # +PONG, or an error that begins with a minus.
                return await reader.read(1) in (b"+", b"-")
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False


async def answers_in_tls(settings: Settings) -> bool:
    """Return whether a server answers the first message of a TLS handshake."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(settings.host, settings.port, ssl=context)
    except ssl.SSLError as error:
        return error.reason not in _NOT_TLS
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


def _load_own(context: ssl.SSLContext, settings: Settings, certfile: str) -> None:
    key = settings.keyfile or certfile

    def no_password() -> str:
        # Without this, OpenSSL would ask for the password on the terminal.
        raise _bad_file(settings, "ssl_keyfile", key, "it is encrypted; aioq has no option for its password")

    try:
        context.load_cert_chain(certfile, settings.keyfile, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _bad_file(settings, "ssl_keyfile", key, f"its key is not that of {certfile!r}") from None
        why = "a certificate in PEM format must be there, and its key there or in the file of ssl_keyfile="
        raise _bad_file(settings, "ssl_certfile", certfile, why) from None
    except OSError as error:
        raise _bad_file(settings, "ssl_certfile", certfile, error_text(error)) from None


def _bad_file(settings: Settings, option: str, file: str, why: str) -> BrokerConfigError:
    return BrokerConfigError(f"{settings.masked}: {option} names {file!r}, which cannot be used: {why}")


def _advice(settings: Settings, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _advice_on_server(settings, error.verify_code)
    reason = error.reason or ""
    if reason in _NOT_TLS:
        return "the server does not speak TLS on this port; for a connection without TLS write redis://"
    if "CERTIFICATE_REQUIRED" in reason or ("HANDSHAKE_FAILURE" in reason and not settings.certfile):
        return "the server demands a certificate of the client; name it as ssl_certfile= and its key as ssl_keyfile="
    if "UNKNOWN_CA" in reason:
        return "the server does not trust the authority of the client's certificate; name another as ssl_certfile="
    if "CERTIFICATE" in reason:
        return "the server rejects the client's certificate; check the dates and the purpose of that in ssl_certfile="
    return "check host and port, and which versions of TLS the server accepts"


def _advice_on_server(settings: Settings, code: int) -> str:
    if code in _OTHER_HOST:
        return f"the server's certificate is for another host than {settings.host}; write the host that it names"
    if code == _EXPIRED:
        return "the server's certificate has expired; renew it"
    return (
        "no authority that the client trusts has signed the server's certificate; name the file of its authority as "
        "ssl_ca_certs= in the URL"
    )
