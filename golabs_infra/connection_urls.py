"""URLs of databases, as libpq and as PostgreSQL's JDBC driver take them. Pure functions on strings."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

_SOCKET_FACTORY = "org.newsclub.net.unix.AFUNIXSocketFactory$FactoryArg"
"""The class by which the JDBC driver reaches a Unix-domain socket; junixsocket-core has it."""


def libpq_address(
    host: str, port: int, database: str, sslmode: str, sslrootcert: str | None, credentials: tuple[str, str]
) -> str:
    """A URL that psql and psycopg take as it is."""
    user, password = (quote(part, safe="") for part in credentials)
    place = quote(host, safe=":")
    if host.startswith("/"):
        place = quote(host, safe="")
    elif ":" in host:
        place = f"[{place}]"
    options = _query({"sslmode": sslmode, **({"sslrootcert": sslrootcert} if sslrootcert else {})})
    return f"postgresql://{user}:{password}@{place}:{port}/{quote(database, safe='')}?{options}"


def jdbc_address(
    host: str,
    port: int,
    database: str,
    sslmode: str,
    sslrootcert: str | None,
    credentials: tuple[str, str] | None = None,
) -> str:
    """A URL that the PostgreSQL JDBC driver takes as it is; with user and password in it if they are given.

    The driver itself can't use a socket folder: such a URL needs junixsocket-core on the class path.
    """
    options = {"user": credentials[0], "password": credentials[1]} if credentials else {}
    place = f"[{host}]" if ":" in host else host  # the driver decodes no host, so that a zone's % stands for itself
    if host.startswith("/"):
        place = "localhost"  # not asked for, as the socket's path is in the options; and sockets have no TLS
        options |= {
            "sslmode": "disable",
            "socketFactory": _SOCKET_FACTORY,
            "socketFactoryArg": f"{host.rstrip('/')}/.s.PGSQL.{port}",
        }
    else:
        options |= {"sslmode": sslmode, **({"sslrootcert": sslrootcert} if sslrootcert else {})}
    return f"jdbc:postgresql://{place}:{port}/{quote(database, safe='')}?{_query(options)}"


def _query(options: Mapping[str, str]) -> str:
    return urlencode(options, quote_via=quote, safe="")
