"""The shape of the package: imports point one way, and only those modules reach the world outside that are meant to."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import golabs_infra

PACKAGE = Path(golabs_infra.__file__).parent
NAME = "golabs_infra"

ORDER = [
    *(
        "errors",
        "names",
        "policy",
        "project",
        "endpoint",
        "files",
        "passphrase",
        "passwords",
        "proofs",
        "pending",
        "interrupting",
        "statement",
    ),
    "config_keys",
    "password_commands",
    "login_keys",
    *("shell_words", "shell_commands", "shell_assignments"),
    *("legacy_words", "legacy_tables", "legacy_lines", "legacy_values", "legacy_keys", "legacy"),
    *(
        "stackfile",
        "yaml_text",
        "stack_editing",
        "settings",
        "model",
        "tls_failures",
        "connecting",
        "inspection",
        "evidence",
        "sessions",
        "changes",
        "plan",
        "sql",
        "wording",
    ),
    *(
        *("connection_urls", "connection_shape", "file_sets", "formats_*", "formats", "connections"),
        "recollection",
        "script",
        *("rights", "takeover", "guarding", "adoption", "retirement"),
        "identity",
        "forgetting",
        "server_*",
        "server",
        "certificates",
        "target",
        "applying",
        "direct",
    ),
    *("authority", "findings", "expectation", "mends"),
    "rules_*",
    *(
        "catalog_proof",
        "report",
        "holdings",
        "probes",
        "probing",
        "agreement",
        "verification",
        "report_page",
        "repairing",
        "rotation",
        "login_changes",
    ),
    *("engine_events", "pulumi_command", "components.*", "components", "program"),
    *("toolchain", "engines", "stacks", "installer"),
    *("progress", "live_table"),
    *("runs", "remembering", "doctor", "console", "account", "retiring", "legacy_layout", "importing", "proving"),
    *("storing", "rotating"),
    *("cli_completion", "cli_examples", "cli_options", "cli_endings"),
    *("cli_server", "cli_proofs", "cli_rotation", "cli_credentials", "cli", "__main__"),
]
"""Each module imports only what stands before it. A module that is not named is held to there being no circle."""

PURE = [
    *("errors", "names", "policy", "endpoint", "password_commands", "config_keys", "settings", "model"),
    *("changes", "plan", "sql", "statement", "wording", "takeover", "rights", "guarding", "adoption"),
    *("shell_words", "shell_commands", "shell_assignments"),
    *("legacy_words", "legacy_tables", "legacy_lines", "legacy_values", "legacy_keys", "legacy"),
    *(
        "authority",
        "findings",
        "expectation",
        "mends",
        "catalog_proof",
        "report",
        "holdings",
        "attempts",
        "probes",
        "agreement",
    ),
    *("rules_roles", "rules_objects", "rules_future", "rules_bridges", "rules_databases"),
    *("formats_login", "formats_dotenv", "formats_libpq", "formats_jdbc", "formats_k8s", "formats"),
]
"""They read no file, environment or clock and open no connection."""


@cache
def sources() -> Mapping[str, ast.Module]:
    """Every module of the package by its name below it, parsed."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


@cache
def walked(module: str) -> tuple[ast.AST, ...]:
    """Everything that is in a module, also inside of functions."""
    return tuple(ast.walk(sources()[module]))


def dotted(node: ast.AST) -> str:
    """`name` or `module.name`, where that is all."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@cache
def imported(module: str) -> frozenset[str]:
    """The full name of everything that a module imports anywhere in it, also inside of functions."""
    return frozenset(_imported(module))


def _imported(module: str) -> Iterator[str]:
    is_package = (PACKAGE / module.replace(".", "/")).is_dir() or module == "__init__"
    above = [NAME, *([] if module == "__init__" else module.split("."))]
    for node in walked(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = above[: len(above) - node.level + is_package]
                base = ".".join([*kept, base] if base else kept)
            for alias in node.names:
                yield f"{base}.{alias.name}"


def own(module: str) -> set[str]:
    """The modules of the package that a module imports."""
    names = set()
    for full in imported(module):
        if full.startswith(f"{NAME}."):
            below = full.removeprefix(f"{NAME}.")
            names |= {name for name in (below, below.rpartition(".")[0]) if name in sources()}
    return names - {module}


def at_once(module: str) -> set[str]:
    """The packages that a module imports as soon as it is imported itself."""
    names: set[str] = set()
    for node in sources()[module].body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


def reaching(*packages: str) -> set[str]:
    """The modules that import one of these packages."""
    return {
        module
        for module in sources()
        if any(full == package or full.startswith(f"{package}.") for full in imported(module) for package in packages)
    }


def place(module: str) -> int | None:
    """Where a module stands in the order."""
    for candidate in (
        module,
        f"{module.partition('.')[0]}.*" if "." in module else "",
        f"{module.partition('_')[0]}_*",
    ):
        if candidate in ORDER:
            return ORDER.index(candidate)
    return None


def test_the_parser_sees_the_imports_that_there_are() -> None:
    assert len(sources()) > 25
    assert {
        "config_keys",
        "login_keys",
        "stackfile",
        "names",
        "policy",
        "passwords",
        "password_commands",
        "errors",
        "endpoint",
    } == own("settings")
    assert {"components.database", "components.service"} == own("components")
    assert "components.options" in own("components.service")
    assert "model" in own("components.service")
    assert "psycopg.sql.SQL" in imported("sql")


def test_imports_make_no_circle() -> None:
    graph = {module: own(module) - {module.split(".")[0]} for module in sources()}
    try:
        sequence = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' -> '.join(error.args[1])}")
    assert set(sequence) == set(sources())


def test_imports_point_one_way() -> None:
    against = [
        f"{module} imports {name}"
        for module in sources()
        for name in own(module)
        if (here := place(module)) is not None
        and (there := place(name)) is not None
        and (there > here or (there == here and "*" not in ORDER[here]))
    ]
    assert against == []


def test_every_module_of_the_design_has_its_place() -> None:
    for module in ("settings", "model", "program", "components.service", "server_binaries", "plan", "cli"):
        assert place(module) is not None
    assert place("something_new") is None


def test_only_the_modules_of_the_pulumi_engine_import_pulumi() -> None:
    allowed = {"components.database", "components.service", "components.options", "program", "stacks"}
    found = reaching("pulumi", "pulumi_postgresql", "pulumi_random")
    assert found <= allowed
    assert "pulumi" in at_once("program")


def test_only_the_modules_that_talk_to_postgresql_import_psycopg() -> None:
    found = {
        module
        for module in reaching("psycopg")
        for full in imported(module)
        if full.split(".")[0] == "psycopg" and full.split(".")[:2] != ["psycopg", "sql"]
    }
    talking = {"inspection", "sessions", "retirement", "applying", "direct", "connecting", "verification"}
    talking |= {"evidence", "attempting", "scratch", "probing", "repairing", "login_changes"}
    assert {module for module in found - talking if not module.startswith("server")} == set()
    assert {"inspection", "applying", "direct", "connecting"} <= found


def test_sql_takes_only_the_composing_part_of_psycopg() -> None:
    assert {full for full in imported("sql") if full.startswith("psycopg")} <= {
        "psycopg.sql",
        *(f"psycopg.sql.{name}" for name in ("SQL", "Composable", "Composed", "Identifier", "Literal")),
    }


def test_only_sql_composes_statements() -> None:
    assert reaching("psycopg.sql") == {"sql", "statement"}


def test_only_the_command_line_prints() -> None:
    streams = ("sys.stdout", "sys.stderr", "sys.stdin")
    printing = {
        module
        for module in sources()
        for node in walked(module)
        if (isinstance(node, ast.Call) and dotted(node.func) in ("print", "input")) or dotted(node) in streams
    }
    commands = {"cli", "cli_options", "cli_completion", "cli_server", "cli_proofs", "cli_rotation", "cli_credentials"}
    commands |= {"cli_endings"}
    assert printing <= {"cli", "console"}
    assert reaching("rich", "typer", "click", "logging") <= {*commands, "console", "live_table"}


def test_only_the_command_line_exits() -> None:
    ways = ("SystemExit", "exit", "quit", "sys.exit", "sys._exit", "os.exit", "os._exit")
    exiting = {module for module in sources() for node in walked(module) if dotted(node) in ways}
    assert exiting <= {"cli", "__main__"}


@pytest.mark.parametrize("module", PURE)
def test_the_core_is_pure(module: str) -> None:
    reached = {full.split(".")[0] for full in imported(module)}
    world = {"os", "sys", "io", "pathlib", "shutil", "subprocess", "socket", "tempfile", "time", "random", "urllib"}
    assert reached & world == set()
    calls = {dotted(node.func) for node in walked(module) if isinstance(node, ast.Call)}
    assert calls & {"open", "input", "print", "date.today", "datetime.now"} == set()


def test_every_module_says_what_it_is_for() -> None:
    silent = [module for module, tree in sources().items() if not ast.get_docstring(tree)]
    assert silent == []


def test_everything_public_is_documented() -> None:
    silent = []
    for module, tree in sources().items():
        scopes: list[tuple[str, ast.Module | ast.ClassDef]] = [(module, tree)]
        scopes += [(f"{module}.{node.name}", node) for node in tree.body if isinstance(node, ast.ClassDef)]
        for where, scope in scopes:
            for node in scope.body:
                if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                    continue
                if where.rpartition(".")[2].startswith("_") or ast.get_docstring(node):
                    continue
                silent.append(f"{where}.{node.name}")
    assert silent == []


def test_annotations_are_not_evaluated_at_import() -> None:
    evaluated = [
        module
        for module, tree in sources().items()
        if len(tree.body) > 1 and not module.startswith("__") and "__future__.annotations" not in imported(module)
    ]
    assert [module for module in evaluated if module != "components"] == []
