"""Fixtures of the matrix. Every version's server is started once a session, in the order of the versions.

Without `--matrix` only the cells of `EVERY_RUN` are left; a version that can't be had here is skipped with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint

from ..engine.conftest import checkout, toolchain  # noqa: F401 - fixtures
from ..support import home_in_memory, running_server, wipe
from .cells import EVERY_RUN, MAJORS, RIGHTS, Cell, Settle, documented_admin
from .servers import UnavailableError, programs_of
from .summary import AT, SHOWN, VERSION

_CELL: pytest.StashKey[tuple[int, str, str]] = pytest.StashKey()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of the matrix runs once for each version and admin."""
    if "release" in metafunc.fixturenames:
        metafunc.parametrize("release", MAJORS, indirect=True, scope="session")
        metafunc.parametrize("rights", RIGHTS)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A report must know its cell, also where a fixture has skipped its test."""
    if isinstance(item, pytest.Function) and "release" in item.fixturenames:
        parameters = item.callspec.params
        engine = "pulumi" if item.path.name == "test_pulumi.py" else "direct"
        item.stash[_CELL] = (int(str(parameters["release"])), str(parameters["rights"]), engine)
        item.user_properties.append((AT, item.stash[_CELL]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the cells that only `--matrix` runs."""
    if config.getoption("--matrix"):
        return
    at = {item: item.stash.get(_CELL, None) for item in items}
    left_out = [item for item, cell in at.items() if cell is not None and (cell[0], cell[2]) not in EVERY_RUN]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Endpoint]]:
    """A major version, and the superuser's endpoint on a server of it."""
    major: int = request.param
    try:
        programs = programs_of(major)
    except UnavailableError as error:
        pytest.skip(str(error))
    with (
        home_in_memory(tmp_path_factory.mktemp(f"postgresql{major}")) as home,
        running_server(home, major=major, programs=programs) as endpoint,
    ):
        yield major, endpoint


@pytest.fixture
def cell(release: tuple[int, Endpoint], rights: str, request: pytest.FixtureRequest) -> Cell:
    """The emptied server and its admin."""
    major, server = release
    wipe(server)
    with connect_admin(server) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    request.node.user_properties.append((VERSION, row[0].split()[0]))
    return Cell(major, rights, server, server if rights == "superuser" else documented_admin(server))


@pytest.fixture
def settle(cell: Cell, record_property: Callable[[str, object], None]) -> Settle:
    """As `Cell.settle`; notes for the table what was shown."""

    def settled(environment: str, refused: Callable[[], str]) -> None:
        record_property(SHOWN, cell.settle(environment, refused))

    return settled
