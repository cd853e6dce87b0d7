"""Connection files of servers that are reached by IPv6, by a socket folder, or over TLS: their readers get in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from golabs_infra import server_launch
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import GolabsError
from golabs_infra.formats_login import ExportFormat
from golabs_infra.project import Project

from ..support import home_in_memory, running_server, unwarned, wipe
from ..tls import Authority, put
from . import readers, tools
from .tools import engine, user

USERS = {f"billing-{kind}": user("billing", kind) for kind in ("migration", "app")}


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    """A folder for a server's socket; its path is short, as that of a socket has to be."""
    folder = Path(tempfile.mkdtemp(prefix="golabs-sockets-"))
    folder.chmod(0o777)  # the user that PostgreSQL runs as for root makes the socket in it
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def _everywhere(tmp_path_factory: pytest.TempPathFactory, sockets: Path) -> Iterator[Endpoint]:
    with pytest.MonkeyPatch.context() as patched, home_in_memory(tmp_path_factory.mktemp("everywhere")) as home:
        addresses = "127.0.0.1,::1" if _has_ipv6() else "127.0.0.1"
        patched.setitem(server_launch.FIXED_SETTINGS, "listen_addresses", addresses)
        patched.setitem(server_launch.FIXED_SETTINGS, "unix_socket_directories", str(sockets))
        with running_server(home) as endpoint:
            yield endpoint


@pytest.fixture(params=["address", "folder"])
def elsewhere(request: pytest.FixtureRequest, _everywhere: Endpoint, sockets: Path) -> Endpoint:
    """A server by its IPv6 address, and by its socket folder."""
    wipe(_everywhere)
    if request.param == "folder":
        return replace(_everywhere, host=str(sockets))
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 address ::1")
    return replace(_everywhere, host="::1")


def test_every_reader_of_libpq_gets_in(elsewhere: Endpoint, project: Project) -> None:
    direct = engine(project, elsewhere, services=["billing"])
    direct.up()
    assert tools.can_log_in(project, ["billing"])
    folder = project.output_folder("tst")
    for form in (ExportFormat.DOTENV, ExportFormat.PGPASS, ExportFormat.PGSERVICE):
        direct.export(form, unwarned)
    place = {"PGHOST": elsewhere.host, "PGPORT": str(elsewhere.port), "PGDATABASE": tools.DATABASE}
    for stem, name in USERS.items():
        read = readers.shell(folder / f"{stem}.env")
        assert readers.python_dotenv(folder / f"{stem}.env") == read == readers.no_quotes(folder / f"{stem}.env")
        assert readers.psql({key: value for key, value in read.items() if key != "DATABASE_URL"}) == name
        assert readers.url(read["DATABASE_URL"]) == name
        assert readers.psql({"PGPASSFILE": str(folder / "pgpass"), "PGUSER": name, **place}) == name
        assert readers.psql({"PGSERVICEFILE": str(folder / "pg_service.conf"), "PGSERVICE": f"{stem}-tst"}) == name


def test_the_jdbc_driver_gets_in(elsewhere: Endpoint, project: Project) -> None:
    direct = engine(project, elsewhere, services=["billing"])
    direct.up()
    found = direct.export(ExportFormat.JDBC, unwarned)
    for file in found:
        kind = file.stem.split("-")[1]
        with file.open("a", encoding="ascii") as properties:
            properties.write(f"jdbcUrl={tools.record(project, 'billing')['users'][kind]['jdbcUrl']}\n")
    assert readers.jdbc(found) == [USERS[file.stem] for file in found for _way in range(3)]


def test_secrets_are_for_addresses_and_refused_for_socket_folders(elsewhere: Endpoint, project: Project) -> None:
    direct = engine(project, elsewhere, services=["billing"])
    direct.up()
    if elsewhere.host.startswith("/"):
        with pytest.raises(GolabsError, match="is a socket folder, which no pod has"):
            direct.export(ExportFormat.K8S, unwarned)
        return
    (file,) = direct.export(ExportFormat.K8S, unwarned)
    assert [readers.url(data["uri"]) for data in readers.secrets(file)] == list(USERS.values())


def test_every_form_proves_the_server_by_its_root_certificate(
    tls_admin: Endpoint, project: Project, tls_keys: dict[str, Any]
) -> None:
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("there is no psql on PATH, and that of the wheel was built without TLS")
    direct = engine(project, tls_admin, services=["billing"], **tls_keys)
    direct.up()
    folder, program = project.output_folder("tst"), Path(psql)
    for form in ExportFormat:
        direct.export(form, unwarned)
    properties = sorted(folder.glob("*.properties"))

    def log_in() -> None:
        for stem, name in USERS.items():
            read = readers.shell(folder / f"{stem}.env")
            assert readers.python_dotenv(folder / f"{stem}.env") == read
            given = {key: value for key, value in read.items() if key != "DATABASE_URL"}
            assert readers.psql(given, program=program) == name
            assert readers.url(read["DATABASE_URL"]) == name
            services = {"PGSERVICEFILE": str(folder / "pg_service.conf"), "PGSERVICE": f"{stem}-tst"}
            assert readers.psql(services, program=program) == name

    log_in()
    assert readers.jdbc(properties) == [USERS[file.stem] for file in properties for _way in range(2)]
    for data in readers.secrets(folder / "billing-secret.yaml"):
        mounted = project.root / "mounted.crt"
        mounted.write_text(data["ca.crt"], encoding="ascii")
        assert readers.psql({"PGSSLROOTCERT": str(mounted)}, "-d", data["uri"], program=program) == data["username"]
    put(project.root / "certs", "ca.pem", Authority("another").root)
    with pytest.raises(AssertionError, match="certificate verify failed"):
        log_in()
    with pytest.raises(AssertionError, match="SSL error"):
        readers.jdbc(properties)


def test_kubectl_reads_the_secrets(server: Endpoint, project: Project) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl here")
    direct = engine(project, server)
    direct.up()
    found = direct.export(ExportFormat.K8S, unwarned)
    kustomization = {"resources": [file.name for file in found], "namespace": "go-labs"}
    (found[0].parent / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    # The part of kubectl that needs no cluster: it refuses what is no resource, and two of one name.
    done = subprocess.run(
        [kubectl, "kustomize", found[0].parent],
        env={"PATH": os.environ["PATH"], "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    shown = list(yaml.safe_load_all(done.stdout))
    assert sorted(document["metadata"]["name"] for document in shown) == sorted(
        f"{service}-{kind}-tst" for service in tools.SERVICES for kind in ("migration", "app")
    )
    written = [document for file in found for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    assert {document["metadata"]["name"]: document["data"] for document in shown} == {
        document["metadata"]["name"]: document["data"] for document in written
    }
