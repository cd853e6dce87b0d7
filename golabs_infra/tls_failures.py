"""Why TLS with a server failed, in words that say which key of the configuration mends it.

libpq's own words are known by their pattern. Where they leave open why a certificate is not believed, the server is
asked once more for its certificate; nothing is sent to it but the wish for TLS.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct

from .endpoint import Endpoint
from .password_commands import set_key

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PATIENCE_S = 5
_OTHER_HOST = re.compile(r"server certificate for .* does not match host name .*")
_ADDRESS = re.compile(r"^(connection failed: )?connection to server (at|on) .*? failed: ")


def explain(text: str, said: str, endpoint: Endpoint, user: str) -> tuple[str, str] | None:
    """What is wrong, and the mend, where TLS or a certificate is to blame for a login that failed; else None.

    `text` is libpq's, `said` what the server itself said in it, if it did.
    """
    if said:
        return _refused(_unquoted(said), endpoint, user)
    unquoted = _unquoted(text)
    if "no password supplied" in unquoted:
        return (
            f"the server asks for a password of {user}, and none is given",
            f"give golabs-infra:adminPassword: golabs set-password {endpoint.environment} --admin",
        )
    if "SSL" in unquoted or "certificate" in unquoted or "private key" in unquoted:
        what, mend = _failure(text, unquoted, endpoint)
        return f"TLS failed: {what}", mend
    return None


def _unquoted(text: str) -> str:
    return re.sub(r'"[^"]*"', "", text)  # hosts, files and databases may be called anything


def _refused(unquoted: str, endpoint: Endpoint, user: str) -> tuple[str, str] | None:
    is_admin = user == endpoint.admin_user
    if "requires a valid client certificate" in unquoted:
        if is_admin:
            return (
                f"the server wants a client certificate of {user}",
                "give golabs-infra:sslCert and golabs-infra:sslKey, files of a certificate whose CN is the user's name",
            )
        return (
            f"the server wants a client certificate of {user} too, and services have none",
            "have pg_hba.conf ask the admin alone for one: clientcert=verify-full, or cert, on the admin's line only",
        )
    if "certificate authentication failed" in unquoted:
        return (
            f"the server does not take the client certificate for {user}'s",
            f"name one whose CN is {user} as golabs-infra:sslCert; to see whose it is: {_look(endpoint, '-subject')}",
        )
    if "password authentication failed" in unquoted and is_admin and endpoint.ssl_cert:
        return (
            f"the server refuses the password of {user}, or a client certificate that is not {user}'s",
            f"golabs set-password {endpoint.environment} --admin; to see whose the certificate is: {_look(endpoint, '-subject')}",
        )
    if re.search(r"no pg_hba\.conf entry for .*no encryption", unquoted):
        return (
            f"the server lets {user} in over TLS only, and golabs-infra:sslMode is {endpoint.ssl_mode}",
            f"{set_key(endpoint.environment, 'sslMode', 'require')}; better verify-full, with sslRootCert",
        )
    return None


def _failure(text: str, unquoted: str, endpoint: Endpoint) -> tuple[str, str]:
    if found := _OTHER_HOST.search(text):
        return (
            found[0],
            "put a name that the certificate has into golabs-infra:host; or, to ask for its issuer only, "
            f"{set_key(endpoint.environment, 'sslMode', 'verify-ca')}",
        )
    if "certificate verify failed" in unquoted:
        return _unproven(endpoint)
    cert, key = endpoint.ssl_cert, endpoint.ssl_key
    known = {
        "does not support SSL": (
            f"the server has none, and golabs-infra:sslMode is {endpoint.ssl_mode}",
            "turn it on there (ssl = on); or, on a network that nobody else is in, "
            f"{set_key(endpoint.environment, 'sslMode', 'disable')}",
        ),
        "key values mismatch": (
            f"{key} is not the key of {cert}",
            "name files that belong together as golabs-infra:sslCert and golabs-infra:sslKey",
        ),
        "alert unknown ca": (
            f"the server does not know who has signed {cert}",
            "give a certificate of the authority in the server's ssl_ca_file as golabs-infra:sslCert, with its chain",
        ),
        "alert certificate expired": (
            f"the client certificate {cert} has expired",
            f"have a new one made; to see when: {_look(endpoint, '-dates')}",
        ),
    }
    first = _ADDRESS.sub("", text.strip().splitlines()[0])
    otherwise = (first, "correct golabs-infra:sslMode, sslRootCert, sslCert and sslKey")
    return next((told for words, told in known.items() if words in unquoted), otherwise)


def _unproven(endpoint: Endpoint) -> tuple[str, str]:
    """libpq gives one and the same word for a wrong issuer and for an expired certificate."""
    why = _doubt(endpoint)
    if "expired" in why or "not yet valid" in why:
        return f"the server's {why}", "have the server get a certificate that holds today; see the clocks of both, too"
    return (
        f"{endpoint.ssl_root_cert} does not prove the server's certificate{f' ({why})' if why else ''}",
        "name the certificate of the server's own root authority as golabs-infra:sslRootCert; if it is that, somebody "
        "else may be answering",
    )


def _doubt(endpoint: Endpoint) -> str:
    """OpenSSL's reason not to believe the server's certificate; empty where it can't be found out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(endpoint.ssl_root_cert)
        with socket.create_connection((endpoint.host, endpoint.port), timeout=_PATIENCE_S) as plain:
            plain.sendall(_SSL_REQUEST)
            if plain.recv(1) == b"S":
                context.wrap_socket(plain).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        return ""
    return ""


def _look(endpoint: Endpoint, part: str) -> str:
    return f"openssl x509 -noout {part} -in {endpoint.ssl_cert}"
