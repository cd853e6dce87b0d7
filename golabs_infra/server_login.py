"""How a client reaches the embedded server: its address, the admin's name, and whether a login with the admin's password
works just now. A server that isn't up yet is no error here; only a password that is missing or wrong is one. No query
is run, and the password is neither made nor changed.
"""

from __future__ import annotations

import socket

import psycopg

from .endpoint import EMBEDDED_PORT
from .server_home import ServerHome

DEFAULT_PORT = EMBEDDED_PORT
HOST = "127.0.0.1"
ADMIN_USER = "postgres"


def answers(port: int) -> bool:
    """Whether somebody accepts connections on this port of HOST."""
    try:
        with socket.create_connection((HOST, port), timeout=5):
            return True
    except OSError:
        return False


def login(home: ServerHome, port: int) -> str | None:
    """Log in as the admin; gives the server's version, None where it can't be had right now.

    Raises ServerError for a password that is missing or wrong.
    """
    password = home.admin_password()
    try:
        # What PGHOSTADDR, PGSSLMODE and the like would turn elsewhere is said here.
        with psycopg.connect(
            host=HOST,
            hostaddr=HOST,
            port=port,
            user=ADMIN_USER,
            password=password,
            dbname="postgres",
            sslmode="prefer",
            options="",
            connect_timeout=5,
        ) as session:
            version = session.info.parameter_status("server_version")
            return version.split()[0] if version else None
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise home.password_error("the server refuses the admin's password", home.data()) from error
        return None
