"""Stack files that nobody should write: a kept corpus, each by what is wrong with it, and hypothesis strategies for more.

Everything is bytes, as a file is. What they may lead to is judged in `test_input`.
"""

from __future__ import annotations

from collections.abc import Callable

import yaml
from hypothesis import strategies as st

from golabs_infra.config_keys import EXAMPLES

HOSTILE = (
    "billing; DROP DATABASE postgres",
    "x'; DROP ROLE bystander; --",
    'x"; DROP SCHEMA public CASCADE; --',
    "$$; DROP TABLE t; $$",
    "\\! touch /tmp/owned",
    "\\copy (select 1) to program 'true'",
    ":'x'",
    "%s %(name)s {0} {name}",
    "../../etc/passwd",
    "billing\nDROP DATABASE postgres;",
    "bil\x00ling",
    "bílling",
    "ｂilling",
    "b\u202eilling",
    "\ud7ff\U0001f9e8",
    "a" * 64,
    "a" * 2_000,
    "-",
    "",
    " billing",
    "pg_catalog",
    "public",
    "postgres://user:secret@host/db",
    "!!python/object/apply:os.system ['true']",
    "${PATH} $(id) `id`",
    "null",
    "true",
    "1e400",
    "0x1F",
    "2026-11-23",
    "=",
    "<<",
    "*anchor",
)
"""Texts that mean something to SQL, psql, a shell, YAML or a format string."""

PASSWORD = "Sup3r-Secret-Canary"
PLAUSIBLE: dict[str, object] = {
    "server": "embedded",
    "host": "127.0.0.1",
    "port": 5432,
    "adminUser": "postgres",
    "adminPassword": PASSWORD,
    "adminDatabase": "postgres",
    "sslMode": "disable",
    "sslRootCert": "ca.pem",
    "policy": "disposable",
    "services": ["billing", {"name": "catalog", "connectionLimit": 5}],
    "passwords": {"billing": {"app": PASSWORD}},
    "logins": {"billing": {"app": ["user", "twin"]}},
    "accepted": [{"id": "privilege/x/SELECT", "object": "table billing.*", "note": "known"}],
}
_CONFIG = "config:\n  golabs-infra:server: embedded\n"
_SERVICES = "  golabs-infra:services: [billing]\n"


def _config(body: str) -> bytes:
    return f"{_CONFIG}{body}".encode()


CORPUS: dict[str, bytes] = {
    "an empty file": b"",
    "white space alone": b" \n\n\t\n",
    "a comment alone": b"# nothing\n",
    "a scalar": b"billing\n",
    "a list": b"- billing\n",
    "two documents": b"config: {}\n---\nconfig: {}\n",
    "config is a list": b"config: [1, 2]\n",
    "config is null": b"config:\n",
    "config twice": b"config: {}\nconfig: {}\n",
    "a key twice": _config("  golabs-infra:server: embedded\n"),
    "an unclosed bracket": b"config: {golabs-infra:services: [billing\n",
    "an unclosed quote": b'config: {a: "b\n',
    "tabs for indentation": b"config:\n\tgolabs-infra:server: embedded\n",
    "UTF-16": f"{_CONFIG}{_SERVICES}".encode("utf-16"),
    "UTF-32": f"{_CONFIG}{_SERVICES}".encode("utf-32"),
    "latin-1": "config:\n  golabs-infra:host: gr\u00fcn\n".encode("latin-1"),
    "a byte order mark": b"\xef\xbb\xbf" + f"{_CONFIG}{_SERVICES}".encode(),
    "NUL bytes": b"config:\n  golabs-infra:host: a\x00b\n",
    "an escape sequence": b"config:\n  golabs-infra:host: \x1b[2J\n",
    "random bytes": bytes(range(256)) * 4,
    "a gzip header": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "an anchor of itself": b"config: &a\n  golabs-infra:services: *a\n",
    "an alias of nothing": b"config:\n  golabs-infra:services: *nothing\n",
    "a merge key": b"base: &b {golabs-infra:server: embedded}\nconfig:\n  <<: *b\n  golabs-infra:services: [billing]\n",
    "a merge of a scalar": b"config:\n  <<: 3\n",
    "a billion laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n".encode()
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + b"config:\n  golabs-infra:services: *i\n",
    "deep lists": b"config:\n  golabs-infra:services: " + b"[" * 5000 + b"]" * 5000 + b"\n",
    "deep mappings": b"config:\n  golabs-infra:passwords: " + b"{a: " * 3000 + b"1" + b"}" * 3000 + b"\n",
    "a number of a hundred thousand digits": _config("  golabs-infra:port: " + "9" * 100_000 + "\n"),
    "a negative port": _config("  golabs-infra:port: -1\n"),
    "not a number": _config("  golabs-infra:port: .nan\n"),
    "infinity": _config("  golabs-infra:port: .inf\n"),
    "a sexagesimal number": _config("  golabs-infra:port: 54:32\n"),
    "octal": _config("  golabs-infra:port: 0o17\n"),
    "a date for a host": _config("  golabs-infra:host: 2026-01-01\n"),
    "binary": _config("  golabs-infra:host: !!binary aGVsbG8=\n"),
    "a set": _config("  golabs-infra:services: !!set {billing}\n"),
    "an object of Python's": _config("  golabs-infra:services: !!python/object/apply:os.system ['true']\n"),
    "an unknown tag": _config("  golabs-infra:services: !service billing\n"),
    "two thousand services": _config(f"  golabs-infra:services: [{', '.join(f's{n}' for n in range(2_000))}]\n"),
    "a service of a megabyte": _config(f"  golabs-infra:services: [{'a' * 1_000_000}]\n"),
    "a service twice": _config("  golabs-infra:services: [billing, billing]\n"),
    "a number for a service": _config("  golabs-infra:services: [1]\n"),
    "services as a mapping": _config("  golabs-infra:services: {billing: {}}\n"),
    "no services": _config("  golabs-infra:services: []\n"),
    "null among services": _config("  golabs-infra:services: [billing, ]\n"),
    "a service without a name": _config("  golabs-infra:services: [{connectionLimit: 5}]\n"),
    "an unknown key": _config(_SERVICES + "  golabs-infra:servces: [billing]\n"),
    "a key of another namespace": _config(_SERVICES + "  aws:region: eu\n"),
    "a key without a namespace": _config(_SERVICES + "  region: eu\n"),
    "a mapping for a key": b"config:\n  ? [a, b]\n  : c\n",
    "a number for a key": b"config:\n  1: 2\n",
    "a secret that is none": _config(_SERVICES + "  golabs-infra:adminPassword: {secure: v1:nonsense}\n"),
    "a secret of another version": _config(_SERVICES + "  golabs-infra:adminPassword: {secure: v9:a:b}\n"),
    "a secret of a list": _config(_SERVICES + "  golabs-infra:adminPassword: {secure: [1]}\n"),
    "a salt that is none": _config(_SERVICES) + b"encryptionsalt: nonsense\n",
    "a salt of a list": _config(_SERVICES) + b"encryptionsalt: [1]\n",
    "passwords as a text": _config(_SERVICES + "  golabs-infra:passwords: hunter2-Sup3r-Secret-Canary\n"),
    "a password of a mapping": _config(_SERVICES + "  golabs-infra:passwords: {billing: {app: {a: b}}}\n"),
    "a password for nobody": _config(_SERVICES + f"  golabs-infra:passwords: {{order: {{app: {PASSWORD}}}}}\n"),
    "logins of nobody": _config(_SERVICES + "  golabs-infra:logins: {order: {app: [user]}}\n"),
    "logins twice": _config(_SERVICES + "  golabs-infra:logins: {billing: {app: [user, user]}}\n"),
    "a policy that is none": _config(_SERVICES + "  golabs-infra:policy: none\n"),
    "a duration of a year": _config("  golabs-infra:services: [{name: a, statementTimeout: 365d}]\n"),
    "a limit of minus two": _config("  golabs-infra:services: [{name: a, connectionLimit: -2}]\n"),
    "an extension with SQL": _config("  golabs-infra:services: [{name: a, extensions: ['x; DROP ROLE y']}]\n"),
    "JSON in a text": _config("  golabs-infra:services: '[\"billing\"'\n"),
    "a carriage return for a line's end": f"{_CONFIG}{_SERVICES}".replace("\n", "\r").encode(),
    "Windows' line ends": f"{_CONFIG}{_SERVICES}".replace("\n", "\r\n").encode(),
    "no line's end": f"{_CONFIG}{_SERVICES}".rstrip().encode(),
    "a line of four megabytes": b"# " + b"x" * 4_000_000 + f"\n{_CONFIG}{_SERVICES}".encode(),
}
"""What is wrong, and the file."""

_texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.dates(), st.binary(max_size=20), _texts
)
_anything = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(sorted(EXAMPLES)), _texts), inner, max_size=3),
    ),
    max_leaves=8,
)
_names = st.one_of(st.sampled_from(["billing", "catalog", "order"]), _texts)
_services = st.lists(
    st.one_of(
        _names,
        st.fixed_dictionaries(
            {"name": _names},
            optional={
                "connectionLimit": st.one_of(st.integers(1, 99), _scalars),
                "statementTimeout": st.one_of(st.just("30s"), _scalars),
                "extensions": st.one_of(st.just(["plpgsql"]), _anything),
                "retired": st.one_of(st.booleans(), _scalars),
            },
        ),
    ),
    max_size=4,
)
_passwords = st.dictionaries(
    _names, st.dictionaries(st.sampled_from(["app", "migration", "appTwin", "other"]), _texts, max_size=2), max_size=2
)
_values: dict[str, st.SearchStrategy[object]] = {
    "services": st.one_of(_services, _services, _anything),
    "passwords": st.one_of(_passwords, _anything),
}


@st.composite
def configurations(draw: st.DrawFn) -> bytes:
    """A stack's file: most keys as they should be, some with anything in them."""
    services = draw(st.one_of(st.just(PLAUSIBLE["services"]), _services))
    config: dict[str, object] = {"golabs-infra:server": "embedded", "golabs-infra:services": services}
    for key in draw(st.lists(st.sampled_from(sorted(PLAUSIBLE)), max_size=3, unique=True)):
        plausible = st.just(PLAUSIBLE[key])
        config[f"golabs-infra:{key}"] = draw(st.one_of(plausible, _values.get(key, _anything)))
    if draw(st.integers(0, 9)) == 0:
        config[draw(_texts)] = draw(_anything)
    return yaml.safe_dump({"config": config}, sort_keys=False, allow_unicode=draw(st.booleans())).encode(
        "utf-8", "surrogatepass"
    )


@st.composite
def acceptable(draw: st.DrawFn) -> bytes:
    """A stack's file that may be accepted: names that are one to us and something else to SQL, with all options."""
    name = st.one_of(
        st.sampled_from(["select", "user", "table", "all", "order", "current_user", "drop_database", "null", "true"]),
        st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True),
    )
    service = st.fixed_dictionaries(
        {"name": name},
        optional={
            "connectionLimit": st.integers(1, 262_143),
            "statementTimeout": st.sampled_from(["1ms", "30s", "24d"]),
            "idleInTransactionTimeout": st.sampled_from(["1ms", "30s", "24d"]),
            "retired": st.booleans(),
        },
    )
    services = draw(st.lists(service, min_size=1, max_size=3, unique_by=lambda each: each["name"]))
    config = {"golabs-infra:server": "embedded", "golabs-infra:services": services}
    return yaml.safe_dump({"config": config}).encode()


_CHANGES: tuple[Callable[[bytes, int, bytes], bytes], ...] = (
    lambda text, at, more: text[:at] + more + text[at:],
    lambda text, at, _more: text[:at],
    lambda text, at, more: text[:at] + more + text[at + len(more) :],
    lambda text, at, _more: text[:at] + text[at + 1 :],
    lambda text, _at, _more: text.decode("utf-8", "replace").encode("utf-16"),
    lambda text, at, _more: text[at:] + text[:at],
)


@st.composite
def broken_files(draw: st.DrawFn) -> bytes:
    """Such a file after an accident: cut, with bytes more or less, in another encoding."""
    text = draw(configurations())
    for change in draw(st.lists(st.sampled_from(_CHANGES), min_size=1, max_size=3)):
        more = draw(
            st.one_of(st.binary(min_size=1, max_size=6), st.sampled_from([b"\t", b"&a ", b"*a", b"<<: ", b"\0"]))
        )
        text = change(text, draw(st.integers(0, len(text))), more)
    return text
