"""What holds for any configuration, name, password and live catalog: random examples, nothing read or written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from golabs_infra import inspection, names
from golabs_infra.changes import (
    AllowConnections,
    AlterDatabaseOwner,
    AlterRole,
    AlterSchemaOwner,
    BorrowMembership,
    Change,
    CreateDatabase,
    CreateExtension,
    CreateRole,
    CreateSchema,
    DropDatabase,
    DropOwned,
    DropRole,
    DropSchema,
    GrantDefaultPrivileges,
    GrantPrivileges,
    RenameDatabase,
    ReturnMembership,
    RevokeDefaultPrivileges,
    RevokePrivileges,
    SetPassword,
)
from golabs_infra.errors import ConfigError
from golabs_infra.inspection import Live, LiveRole
from golabs_infra.model import DefaultPrivileges, Desired, Extension, Grant, RelationKind, Role, Schema
from golabs_infra.passwords import scram_verifier, verifier_matches
from golabs_infra.plan import plan
from golabs_infra.sql import statements

from ..strategies import HOSTILE, POOL, Stack, examples, other_texts, service_names, stacks
from ..support import make_settings
from .catalogs import make_desired, make_live

Member = TypeVar("Member")

# ---- plan

RELATION = st.tuples(
    st.sampled_from(("table", "sequence")), st.sampled_from(POOL), st.sampled_from(("t", "u", "line item"))
)


def desired_of(stack: Stack) -> Desired:
    """The model of a configuration."""
    return make_desired("tst", services=list(stack.services), passwords=stack.passwords)


@st.composite
def lives(draw: st.DrawFn, desired: Desired, relations: frozenset[tuple[RelationKind, str, str]]) -> Live:
    """What is live when something of a configuration is lost, and something added."""
    live = make_live(desired, relations=relations)
    users = sorted({"public", "stranger", *live.cluster.roles})

    def some(kind: st.SearchStrategy[Grant], of: frozenset[Grant]) -> frozenset[Grant]:
        kept = draw(st.sets(st.sampled_from(sorted(of)))) if of else set()
        return frozenset(kept | draw(st.sets(kind, max_size=3)))

    grant = st.builds(
        Grant,
        st.just("table"),
        st.sampled_from(POOL),
        st.sampled_from(users),
        st.sets(st.sampled_from(("SELECT", "TRUNCATE", "SELECT WITH GRANT OPTION")), min_size=1).map(sorted).map(tuple),
        st.sampled_from(("t", "u")),
    )
    owners = st.sampled_from(users)
    return replace(
        live,
        grants=some(grant, live.grants),
        schemas={name: draw(owners) if draw(st.booleans()) else owner for name, owner in live.schemas.items()},
    )


class Backwards(frozenset[Member]):
    """A set that gives its members in the opposite order."""

    def __iter__(self) -> Iterator[Member]:
        return iter(list(super().__iter__())[::-1])


def reverse(mapping: Mapping[str, Member]) -> dict[str, Member]:
    """The same mapping with its last entry first."""
    return dict(list(mapping.items())[::-1])


def backwards(live: Live) -> Live:
    """The same catalogs, read in another order."""
    return replace(
        live,
        cluster=replace(live.cluster, roles=reverse(live.cluster.roles)),
        schemas=reverse(live.schemas),
        extensions=Backwards(live.extensions),
        relations=Backwards(live.relations),
        grants=Backwards(live.grants),
        default_privileges=Backwards(live.default_privileges),
    )


@examples(20)
@given(stack=stacks(), relations=st.frozensets(RELATION, max_size=4))
def test_nothing_is_to_do_where_all_is_as_it_should_be(
    stack: Stack, relations: frozenset[tuple[RelationKind, str, str]]
) -> None:
    desired = desired_of(stack)
    within = [relation for relation in relations if relation[1] in stack.names]
    assert plan(desired, make_live(desired, relations=within), {}) == []


@examples(20)
@given(before=stacks(), after=stacks(), relations=st.frozensets(RELATION, max_size=4), data=st.data())
def test_a_plan_does_not_depend_on_the_order_in_which_the_catalogs_are_read(
    before: Stack, after: Stack, relations: frozenset[tuple[RelationKind, str, str]], data: st.DataObject
) -> None:
    live = data.draw(lives(desired_of(before), relations))
    removed = tuple(name for name in before.names if name not in after.names)
    verifiers = dict.fromkeys(after.users, "x")
    planned = plan(desired_of(after), live, verifiers, removed)
    assert plan(desired_of(after), live, verifiers, removed) == planned
    assert plan(desired_of(after), backwards(live), reverse(verifiers), tuple(reversed(removed))) == planned


@examples(20)
@given(before=stacks(), after=stacks(), data=st.data())
def test_the_order_of_services_in_the_configuration_does_not_change_the_plan(
    before: Stack, after: Stack, data: st.DataObject
) -> None:
    shuffled = replace(after, services=tuple(data.draw(st.permutations(after.services))))
    live, verifiers = make_live(desired_of(before), relations=()), dict.fromkeys(after.users, "x")
    assert plan(desired_of(shuffled), live, verifiers) == plan(desired_of(after), live, verifiers)


# ---- SQL

TOKEN = re.compile(r"""(?P<name>"(?:[^"]|"")+")|(?P<escaped>E'(?:[^'\\]|''|\\\\)*')|(?P<text>'(?:[^'\\]|'')*')""")
OURS = {"statement_timeout", "idle_in_transaction_session_timeout", "search_path"}


def parts_of(statement: str) -> tuple[str, set[str], set[str]]:
    """What a statement consists of: its words, the identifiers and the literals in it, each without its quotes."""
    identifiers, literals = set(), set()
    for token in TOKEN.finditer(statement):
        if token["name"]:
            identifiers.add(token["name"][1:-1].replace('""', '"'))
        elif token["escaped"]:
            literals.add(token["escaped"][2:-1].replace("''", "'").replace("\\\\", "\\"))
        else:
            literals.add(token["text"][1:-1].replace("''", "'"))
    return TOKEN.sub("?", statement), identifiers, literals


def changes_with(one: str, other: str, verifier: str) -> list[Change]:
    """Every kind of change, about objects and users of these names."""
    role = Role(one, login=True, search_path=(one, other), statement_timeout=5)
    current = LiveRole(Role(one, False, (other,), 7), True, True, ((other, one), (other, None)), ("search_path",))
    later = DefaultPrivileges(one, other, "table", other, ("SELECT",))
    grants = [
        Grant("database", "", one, ("CONNECT",)),
        Grant("schema", one, other, ("USAGE",)),
        Grant("table", one, other, ("SELECT",)),
    ]
    on_one = [Grant("table", one, other, ("SELECT", "SELECT WITH GRANT OPTION", "UPDATE"), other)]
    return [
        *(CreateDatabase(one), AllowConnections(one), AlterDatabaseOwner(one), DropDatabase(one)),
        RenameDatabase(one, other),
        *(CreateRole(role, verifier), AlterRole(role, current), SetPassword(one, verifier)),
        *(BorrowMembership(one), ReturnMembership(one), DropOwned(one), DropRole(one)),
        *(CreateSchema(Schema(one, other)), CreateSchema(Schema(one, None)), AlterSchemaOwner(Schema(one, other))),
        *(CreateExtension(Extension(one, other)), DropSchema(one)),
        *(GrantPrivileges(grant) for grant in grants),
        *(RevokePrivileges(grant) for grant in grants + on_one),
        *(GrantDefaultPrivileges(later), RevokeDefaultPrivileges(replace(later, schema=""))),
    ]


@examples(20)
@given(one=HOSTILE, other=HOSTILE, verifier=HOSTILE)
@example(one='"', other="'", verifier="\\'")
@example(one="{}", other="%s", verifier="E'\\")
@example(one="x; DROP TABLE y; --", other='"; DROP TABLE y; --', verifier="'; DROP TABLE y; --")
def test_whatever_names_and_verifiers_hold_a_statement_stays_one_with_each_of_them_quoted(
    one: str, other: str, verifier: str
) -> None:
    changes = changes_with(one, other, verifier)
    assert {type(change) for change in changes} == set(Change.__subclasses__())
    for change in changes:
        for statement in statements(change, one):
            words, identifiers, literals = parts_of(statement.as_string(None))
            assert re.fullmatch(r"[A-Z0-9_a-z ?,.()\s-]+", words), words
            assert "--" not in words
            assert identifiers <= {one, other} | OURS
            assert literals <= {verifier, "infinity", "UTF8"}
            assert (verifier in literals) == ("PASSWORD" in words)


@examples(40)
@given(schemas=st.lists(HOSTILE, max_size=4).map(tuple))
@example(schemas=("billing", "extensions"))
@example(schemas=("$user", 'a "b', " ", "a,b", ",", '","'))
def test_a_search_path_is_read_back_as_it_was_set(schemas: tuple[str, ...]) -> None:
    stored = ", ".join(
        name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"' for name in schemas
    )
    assert tuple(inspection.search_path_elements(stored)) == schemas


# ---- names


@examples(40)
@given(name=service_names())
@example(name="select")
@example(name="migration")
@example(name="app_migration_tst_user")
def test_every_name_within_the_rules_is_accepted_and_its_users_tell_whose_they_are(name: str) -> None:
    settings = make_settings("tst", services=[name])
    assert [service.name for service in settings.services] == [name]
    kinds: tuple[names.UserKind, ...] = ("migration", "app")
    assert settings.users == tuple(names.user_name(name, kind, "tst") for kind in kinds)
    for user, kind in zip(settings.users, kinds, strict=True):
        assert names.parse_user_name(user) == names.UserName(name, kind, "tst")
        assert len(user.encode()) <= names.MAX_NAME_BYTES


def is_usable(name: str) -> bool:
    """Whether PostgreSQL takes the names of a service's schema and users as they are, and nothing else has them."""
    derived = [name, *(names.user_name(name, kind, "tst") for kind in names.USER_KINDS)]
    return (
        re.fullmatch("[a-z][a-z0-9_]*", name, re.ASCII) is not None
        and name not in names.RESERVED_SERVICES
        and not any(each.startswith("pg_") or len(each) > 63 for each in derived)
    )


@examples(60)
@given(name=other_texts())
@example(name="pg")  # its users would be pg_migration_tst_user and pg_app_tst_user
@example(name="pg_")
@example(name="")
@example(name="billing\n")
@example(name="a" * 44)
@example(name="\u0661")
def test_every_other_text_is_refused_with_where_what_and_a_mend(name: str) -> None:
    assume(not is_usable(name))
    for entry in (name, {"name": name}):
        with pytest.raises(ConfigError) as refused:
            make_settings("tst", services=["billing", entry])
        (fault,) = refused.value.faults
        assert fault.where.startswith("golabs-infra:services[1]")
        assert fault.what
        assert fault.mend


# ---- passwords

PASSWORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
ASCII = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20)


@examples(30)
@given(password=PASSWORDS, salt=st.binary(min_size=1, max_size=32), iterations=st.integers(1, 20))
def test_a_verifier_is_of_its_password(password: str, salt: bytes, iterations: int) -> None:
    assert verifier_matches(scram_verifier(password, salt, iterations), password, "u")


@examples(30)
@given(password=ASCII, other=ASCII)
@example(password="secret", other="secret ")
@example(password="secret", other="Secret")
def test_a_verifier_is_of_no_other_password(password: str, other: str) -> None:
    assert verifier_matches(scram_verifier(password, b"salt", 1), other, "u") == (password == other)
