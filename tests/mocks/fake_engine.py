"""Stands in for Pulumi's engine: runs a program as the language host does, under Pulumi's own mocks, and records it.

What a resource was registered with is read from the request that reaches the monitor, so every option is seen as the
real engine would see it. A run has a thread of its own, so context variables (Pulumi's settings) and an event loop of
its own, and leaves nothing behind.
"""

# mypy: allow-untyped-calls
# (Pulumi's mocks are not annotated.)

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc  # type: ignore[import-untyped]
import pulumi
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import reset_options, set_root_resource
from pulumi.runtime.stack import run_in_stack

from golabs_infra.project import PROJECT_NAME, Project

STACK = "pulumi:pulumi:Stack"
SERVICE_COMPONENT = "golabs:postgresql:ServiceSchema"
DATABASE_COMPONENT = "golabs:postgresql:Database"
PROVIDER = "pulumi:providers:postgresql"
ROLE = "postgresql:index/role:Role"
DATABASE = "postgresql:index/database:Database"
SCHEMA = "postgresql:index/schema:Schema"
GRANT = "postgresql:index/grant:Grant"
DEFAULT_PRIVILEGES = "postgresql:index/defaultPrivileges:DefaultPrivileges"
EXTENSION = "postgresql:index/extension:Extension"
RANDOM_PASSWORD = "random:index/randomPassword:RandomPassword"
RANDOM_BYTES = "random:index/randomBytes:RandomBytes"

SECRET_KEY, SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the engine's protocol writes a value that a preview can't know yet."""

STACK_SALT = "c3RhY2stc2FsdC1zdGFjay1zYWx0LXN0YWNrLXNhbHQ="

Failure = Literal["raises", "reports"]
"""A resource that fails ends the run, or is reported and the rest goes on (`up --continue-on-error`)."""

StateEntry = dict[str, Any]
"""`type` and `outputs` of one resource, as readStackResourceOutputs gives them by URN."""


def generated_password(name: str) -> str:
    """What the RandomPassword of this name makes; its text is found again wherever it leaks to."""
    return f"Generated4{name.replace('-', '').title()}".ljust(32, "x")


def secret(value: object) -> dict[str, object]:
    """A value wrapped as a secret, as the engine's protocol does it."""
    return {SECRET_KEY: SECRET_SIGNATURE, "value": value}


def is_secret(value: object) -> bool:
    """Whether a value of a request is wrapped as a secret."""
    return isinstance(value, dict) and value.get(SECRET_KEY) == SECRET_SIGNATURE


def opened(value: Any) -> Any:
    """A value with every secret in it unwrapped."""
    if is_secret(value):
        return opened(value["value"])
    if isinstance(value, dict):
        return {key: opened(inner) for key, inner in value.items()}
    return [opened(inner) for inner in value] if isinstance(value, list) else value


def redacted(value: Any) -> Any:
    """A value with every secret in it left out: what anybody can read."""
    if is_secret(value):
        return "[secret]"
    if isinstance(value, dict):
        return {key: redacted(inner) for key, inner in value.items()}
    return [redacted(inner) for inner in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Registered:
    """One resource as the engine was asked for it. References to other resources are URNs."""

    urn: str
    type: str
    name: str
    parent: str
    provider: str
    protect: bool
    retain_on_delete: bool
    deleted_with: str
    delete_before_replace: bool
    import_id: str
    dependencies: frozenset[str]
    property_dependencies: Mapping[str, frozenset[str]]
    replace_on_changes: tuple[str, ...]
    additional_secret_outputs: frozenset[str]
    raw_inputs: Mapping[str, Any]
    outputs: dict[str, Any]
    request: Any

    @property
    def public_text(self) -> str:
        """The whole request, without what is wrapped as a secret in it."""
        return str(redacted(MessageToDict(self.request)))

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs, with secrets unwrapped; absent and null are the same."""
        return {key: opened(value) for key, value in self.raw_inputs.items() if value is not None}

    @property
    def secret_inputs(self) -> frozenset[str]:
        """The names of the inputs that are secret as a whole."""
        return frozenset(key for key, value in self.raw_inputs.items() if is_secret(value))


@dataclass
class Run:
    """Everything that one run of the program asked of the engine, in the order of arrival."""

    registered: list[Registered] = field(default_factory=list)
    raw_outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    logged: list[tuple[int, str]] = field(default_factory=list)
    invoked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Registered]:
        return iter(self.registered)

    def of(self, type_: str) -> dict[str, Registered]:
        """The resources of a type, by name."""
        return {resource.name: resource for resource in self.registered if resource.type == type_}

    def one(self, type_: str, name: str) -> Registered:
        """The resource of this type and name."""
        return self.of(type_)[name]

    @property
    def stack_outputs(self) -> dict[str, Any]:
        """The stack's outputs, with secrets wrapped."""
        (outputs,) = (outputs for urn, outputs in self.raw_outputs.items() if f"::{STACK}::" in urn)
        return outputs

    @property
    def warnings(self) -> list[str]:
        """What pulumi.log.warn was given."""
        return [message for level, message in self.logged if level == logging.WARNING]

    @property
    def state(self) -> dict[str, StateEntry]:
        """The state that the run leaves, as the next one reads it. What is not known is not kept."""
        entries = {resource.urn: {"type": resource.type, "outputs": resource.outputs} for resource in self.registered}
        for urn, outputs in self.raw_outputs.items():
            if f"::{STACK}::" in urn:
                known = {key: value for key, value in outputs.items() if opened(value) != UNKNOWN}
                entries[urn] = {"type": STACK, "outputs": known}
        return entries


def urn_of(environment: str, type_: str, name: str | None, *, parent_types: str = "") -> str:
    """A URN; `parent_types` as in `golabs:postgresql:ServiceSchema`."""
    chain = f"{parent_types}${type_}" if parent_types else type_
    return f"urn:pulumi:{environment}::{PROJECT_NAME}::{chain}::{name}"


@dataclass
class FakeEngine:
    """What a test sets before it runs a program: the state of the stack, its config, and which resource fails."""

    project: Project
    state: dict[str, StateEntry] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    secret_keys: tuple[str, ...] = ()
    failing: tuple[str, str] | None = None
    failure: Failure = "raises"
    organization: str = "organization"
    unreadable: int = 0
    """How many attempts to read the state are refused."""
    last: Run = field(default_factory=Run)
    """The run that is going on or was the last, also if it failed."""

    def run(self, program: Callable[[], None], environment: str = "tst", *, preview: bool = False) -> Run:
        """Runs a program to its end and gives the record. Raises what the language host would report."""
        self.last = Run()
        # In a thread of its own the stack is as flat as a program's: Pulumi notes all of it for each resource.
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(self._run, program, environment, preview).result()
        return self.last

    def _run(self, program: Callable[[], None], environment: str, preview: bool) -> None:
        reset_options(project=PROJECT_NAME, stack=environment, root_directory=str(self.project.root))
        pulumi.runtime.set_all_config(self.config, list(self.secret_keys))
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(self._in_stack(program, environment, preview))

    async def _in_stack(self, program: Callable[[], None], environment: str, preview: bool) -> None:
        set_root_resource(_PLACEHOLDER)  # set_mocks would make a stack of its own; run_in_stack makes the real one
        mocks.set_mocks(
            _Mocks(self),
            project=PROJECT_NAME,
            stack=environment,
            preview=preview,
            logger=_Logger(self.last.logged),
            monitor=_Monitor(self, preview),
            organization=self.organization,
        )
        set_root_resource(_NO_ROOT)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # as the language host does
        await run_in_stack(program)


_PLACEHOLDER: Any = object()
_NO_ROOT: Any = None


class _Logger(logging.Logger):
    """Keeps what is logged, without the records that a logger makes of it: Pulumi logs a great deal."""

    def __init__(self, logged: list[tuple[int, str]]) -> None:
        super().__init__("engine")
        self._logged = logged

    def _log(self, level: int, msg: object, *args: object, **kwargs: object) -> None:
        self._logged.append((level, str(msg)))


class _Mocks(mocks.Mocks):
    """The providers: they give back what they are given, and make up the rest."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def call(self, args: mocks.MockCallArgs) -> Any:
        self._engine.last.invoked.append((args.token, args.args))
        if args.token != "pulumi:pulumi:readStackResourceOutputs":
            raise AssertionError(f"nobody answers {args.token}")
        return {"name": args.args["stackName"], "outputs": self._engine.state}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom:
            return "", args.inputs
        made: dict[str, Any] = {}
        if args.typ == RANDOM_PASSWORD:
            made = {"result": generated_password(args.name), "bcryptHash": "$2a$10$made.up"}
        elif args.typ == RANDOM_BYTES:
            made = {"base64": STACK_SALT, "hex": "73616c74"}
        return opened(args.inputs.get("name")) or f"{args.name}-id", {**args.inputs, **made}


class _RefusedError(grpc.RpcError):  # type: ignore[misc]
    """What a state looks like that is being written while it is read."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "failed to load checkpoint: EOF"


class _Monitor(mocks.MockMonitor):
    """The engine's monitor: Pulumi's mock, with the engine's URNs, secrets and unknown values."""

    def __init__(self, engine: FakeEngine, preview: bool) -> None:
        super().__init__(_Mocks(engine))
        self._engine = engine
        self._preview = preview
        self._lock = threading.Lock()
        self._failed: set[str] = set()
        """URNs of what failed and of what was skipped because of it."""

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        return super().make_urn("" if f"::{STACK}::" in parent else parent, type_, name)

    def Invoke(self, request: Any) -> Any:  # noqa: N802  (the protocol's name)
        if self._engine.unreadable:
            self._engine.unreadable -= 1
            raise _RefusedError
        try:
            return super().Invoke(request)
        finally:
            _close_loop_of_thread()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  (the protocol's name)
        if request.type == STACK:
            return super().RegisterResource(request)
        urn = self.make_urn(request.parent, request.type, request.name)
        if self._engine.failing == (request.type, request.name):
            if self._engine.failure == "raises":
                raise RuntimeError(f"the provider could not make {request.name}")
            self._failed.add(urn)
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        if self._failed & {request.parent, request.provider.rpartition("::")[0], *request.dependencies}:
            self._failed.add(urn)
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        try:
            response = super().RegisterResource(request)
            if self._preview and request.custom and not request.importId and urn not in self._engine.state:
                response.id = ""
                response.object.CopyFrom(request.object)
            for key in request.additionalSecretOutputs:
                if key in response.object and SECRET_KEY not in getattr(response.object[key], "fields", ()):
                    response.object[key] = secret(response.object[key])
            self._record(urn, request, MessageToDict(response.object))
            return response
        finally:
            _close_loop_of_thread()

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802  (the protocol's name)
        with self._lock:
            self._engine.last.raw_outputs[request.urn] = MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)

    def _record(self, urn: str, request: Any, outputs: dict[str, Any]) -> None:
        registered = Registered(
            urn=urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            provider=request.provider,
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            deleted_with=request.deletedWith,
            delete_before_replace=request.deleteBeforeReplace,
            import_id=request.importId,
            dependencies=frozenset(request.dependencies),
            property_dependencies={
                key: frozenset(found.urns) for key, found in request.propertyDependencies.items() if found.urns
            },
            replace_on_changes=tuple(request.replaceOnChanges),
            additional_secret_outputs=frozenset(request.additionalSecretOutputs),
            raw_inputs=MessageToDict(request.object),
            outputs=outputs,
            request=request,
        )
        with self._lock:
            self._engine.last.registered.append(registered)


def _close_loop_of_thread() -> None:
    """The mock monitor gives each worker thread an event loop and never closes it."""
    loop = asyncio.get_event_loop()
    asyncio.set_event_loop(None)
    loop.close()
