"""Reports as runs give them, for the tests of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from golabs_infra.findings import Severity
from golabs_infra.report import (
    FORMAT,
    CatalogProof,
    FindingEntry,
    FindingName,
    Holding,
    LiveProof,
    Reach,
    Report,
    ServiceReport,
    Target,
)

HOSTILE = "</script><script>alert(1)</script>"
"""A name that a role, a table or a service could have on somebody's server."""

_TABLES = ("SELECT", "INSERT", "UPDATE", "DELETE")
_OWNER = (*_TABLES, "TRUNCATE", "REFERENCES", "TRIGGER")
_SEQUENCES = ("USAGE", "SELECT")
_FAMILIES = ("billing", "catalog", "order", "payment", "shipping", "stock", "customer", "search", "report", "mail")


def service(name: str, *, retired: bool = False) -> ServiceReport:
    """A service whose users have exactly what they should."""
    migration, app = f"{name}_migration_tst_user", f"{name}_app_tst_user"
    expected: list[tuple[str, int, str, tuple[str, ...]]] = [
        ("database", 1, migration, ("CONNECT",)),
        ("database", 1, app, ("CONNECT",)),
        ("database", 1, "PUBLIC", ()),
        ("schema", 1, migration, ("CREATE", "USAGE")),
        ("schema", 1, app, ("USAGE",)),
        ("schema", 1, "PUBLIC", ()),
        ("tables", 12, migration, _OWNER),
        ("tables", 12, app, _TABLES),
        ("tables", 12, "PUBLIC", ()),
        ("sequences", 7, app, _SEQUENCES),
        ("later tables", 0, app, _TABLES),
        ("later sequences", 0, app, _SEQUENCES),
    ]
    return ServiceReport(
        name, retired, migration, app, tuple(Holding(on, n, who, wanted, wanted) for on, n, who, wanted in expected)
    )


def clean(names: tuple[str, ...] = ("billing", "catalog", "order")) -> Report:
    """A report in which all is well."""
    pairs = len(names) * (len(names) - 1)
    return Report(
        format=FORMAT,
        target=Target(
            environment="tst",
            policy="disposable",
            database="go-labs-tst",
            server="127.0.0.1:54329",
            version="18.4",
            system_identifier="7561230984417205316",
            admin="postgres",
            ran_at="2026-11-23T04:12:31+00:00",
        ),
        catalog=CatalogProof(roles=21, objects=64 * len(names), privileges=418 * len(names), seconds=0.083),
        live=LiveProof(
            logins=2 * len(names),
            attempts=97 * pairs + 40 * len(names),
            permitted=40 * len(names),
            denied=97 * pairs,
            undecided=0,
            pairs=pairs,
            scratch=True,
            seconds=1.42,
        ),
        services=tuple(service(name) for name in names),
        reach=(),
        findings=(),
        seconds=1.61,
    )


def broken() -> Report:
    """Three services and what a year of help by hand does to them."""
    report = clean()
    billing, catalog, order = report.services
    holdings = [
        replace(each, has=("SELECT", "INSERT", "UPDATE"), some=("DELETE",))
        if (each.on, each.grantee) == ("tables", order.app_user)
        else replace(each, has=("CREATE",))
        if (each.on, each.grantee) == ("schema", "PUBLIC")
        else each
        for each in order.holdings
    ]
    return replace(
        report,
        services=(billing, catalog, replace(order, holdings=tuple(holdings))),
        reach=(
            explained(Reach("catalog", "billing", ("SELECT",), ("read",)), _FINDINGS),
            explained(Reach("order", "catalog", ("SELECT", "UPDATE"), ("read", "update")), _FINDINGS),
        ),
        findings=_FINDINGS,
        warnings=(
            "accepted[1]: owner/old_admin on table order.archive is found no more: remove the entry",
            "the superuser's password was taken from PGPASSWORD",
        ),
    )


def large(number: int, *, reached: bool = True) -> Report:
    """A report on many services; a few of them reach others."""
    names = tuple(
        f"{_FAMILIES[each % 10]}_{each // 10:02}" if number > 10 else _FAMILIES[each] for each in range(number)
    )
    report = clean(names)
    if not reached:
        return report
    services = list(report.services)
    ways = [(each, (each * 7 + 3) % number) for each in range(0, number, 9)]
    reach = tuple(Reach(names[one], names[other], ("SELECT", "INSERT")) for one, other in ways if one != other)
    findings = tuple(
        replace(
            _FINDINGS[0],
            id=f"privilege/{each.service}_app_tst_user/INSERT+SELECT",
            service=each.into,
            object=f"table {each.into}.item",
            who=f"{each.service}_app_tst_user",
            what=f"{each.service}_app_tst_user has INSERT, SELECT on table {each.into}.item, which is another service's",
        )
        for each in reach
    )
    services[1] = replace(services[1], retired=True)
    told = tuple(explained(each, findings) for each in reach)
    return replace(report, services=tuple(services), reach=told, findings=findings)


def hostile() -> Report:
    """A report of a server on which every name is meant to break the page."""
    report = broken()
    first, second, third = report.services
    evil = replace(first, name=HOSTILE, app_user=f"{HOSTILE}_app", migration_user='"><img src=x onerror=alert(2)>')
    target = replace(report.target, database=HOSTILE, server=HOSTILE, admin="\u202eevil\u0007")
    findings = tuple(
        replace(
            each, service=HOSTILE, who=evil.app_user, what=f"{HOSTILE} & 'more'", mend=(f"-- {HOSTILE}\r\nSELECT 1;",)
        )
        for each in report.findings
    )
    return replace(
        report,
        target=target,
        services=(evil, second, third),
        reach=(Reach(HOSTILE, second.name, (HOSTILE,)),),
        findings=findings,
        warnings=(HOSTILE, "{{ 7 * 7 }}"),
    )


def explained(reach: Reach, findings: Sequence[FindingEntry]) -> Reach:
    """A reach with the findings about one of the service's users that are in the other schema."""
    users = (f"{reach.service}_migration_tst_user", f"{reach.service}_app_tst_user")
    why = (FindingName(each.id, each.object) for each in findings if each.who in users and each.service == reach.into)
    return replace(reach, findings=tuple(why))


_FINDINGS = (
    FindingEntry(
        id="privilege/catalog_app_tst_user/SELECT",
        severity=Severity.CRITICAL,
        service="billing",
        object="table billing.invoice",
        who="catalog_app_tst_user",
        what="catalog_app_tst_user has SELECT on table billing.invoice, which is another service's",
        cause="billing_migration_tst_user granted it to catalog_app_tst_user",
        mend=(
            "SET ROLE billing_migration_tst_user;",
            "REVOKE SELECT ON TABLE billing.invoice FROM catalog_app_tst_user;",
            "RESET ROLE;",
        ),
        advice="",
    ),
    FindingEntry(
        id="missing-privilege/order_app_tst_user/DELETE",
        severity=Severity.HIGH,
        service="order",
        object='table "order".line',
        who="order_app_tst_user",
        what='order_app_tst_user lacks DELETE on table "order".line, which the service needs',
        cause="it was revoked after golabs granted it, or somebody else made the table",
        mend=('GRANT DELETE ON TABLE "order".line TO order_app_tst_user;',),
        advice="",
    ),
    FindingEntry(
        id="login/billing_app_tst_user/EXPIRED",
        severity=Severity.HIGH,
        service="billing",
        object="role billing_app_tst_user",
        who="billing_app_tst_user",
        what="the password of billing_app_tst_user is over since 2026-11-01, and it can't log in",
        cause="ALTER ROLE ... VALID UNTIL",
        mend=("ALTER ROLE billing_app_tst_user VALID UNTIL 'infinity';",),
        advice="Or give it a new password: golabs up tst does both.",
    ),
    FindingEntry(
        id="privilege/PUBLIC/CREATE",
        severity=Severity.MEDIUM,
        service="order",
        object='schema "order"',
        who="PUBLIC",
        what='PUBLIC has CREATE on schema "order", where only its owner should make anything',
        cause="order_migration_tst_user granted it to PUBLIC",
        mend=('REVOKE CREATE ON SCHEMA "order" FROM PUBLIC;',),
        advice="",
    ),
    FindingEntry(
        id="privilege/order_app_tst_user/SELECT+UPDATE",
        severity=Severity.CRITICAL,
        service="catalog",
        object="table catalog.price",
        who="order_app_tst_user",
        what="order_app_tst_user has SELECT, UPDATE on table catalog.price, which is another service's",
        cause="catalog_migration_tst_user granted it to order_app_tst_user",
        mend=("REVOKE SELECT, UPDATE ON TABLE catalog.price FROM order_app_tst_user;",),
        advice="",
        accepted=True,
        note="orders reserve prices until the new interface is there (LAB-412)",
        until=date(2027, 1, 31),
    ),
)
