"""The shape of a connection record, as the contract has it: what a connection file says must be one, whoever edited it.

It tells of every fault by its key and never by its value, which may be a password. It reads no file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

_UNQUOTED = ConfigDict(coerce_numbers_to_str=True)
"""A password of digits that somebody wrote without quotes is a number for YAML."""
_FAULTS = {
    "missing": "is missing",
    "dataclass_type": "is no mapping",
    "list_type": "is no list",
    "string_type": "is no text",
    "int_type": "is no whole number",
    "int_parsing": "is no whole number",
    "int_from_float": "is no whole number",
}


@dataclass(frozen=True)
class _Login:
    __pydantic_config__: ClassVar[ConfigDict] = _UNQUOTED
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class _User(_Login):
    url: str = field(repr=False)
    jdbcUrl: str = field(repr=False)  # noqa: N815  (the contract's own name)
    others: list[_Login] | None = None


@dataclass(frozen=True)
class _Users:
    migration: _User
    app: _User


@dataclass(frozen=True)
class _Record:
    __pydantic_config__: ClassVar[ConfigDict] = _UNQUOTED
    environment: str
    service: str
    database: str
    host: str
    port: int
    sslmode: str
    schema: str
    users: _Users
    sslrootcert: str | None = None


class ShapeError(ValueError):
    """All that keeps a document from being a record, in words without any of its values."""


def checked(document: object) -> dict[str, Any]:
    """The record that a document is, without what else stands in it. Raises ShapeError."""
    try:
        record: dict[str, Any] = _shape().dump_python(_shape().validate_python(document), exclude_none=True)
    except ValidationError as error:
        faults = [
            f"{_place(each['loc'])} {_FAULTS.get(each['type'], 'is not what it should be')}" for each in error.errors()
        ]
        raise ShapeError("; ".join(faults)) from None
    return record


@cache
def _shape() -> TypeAdapter[_Record]:
    return TypeAdapter(_Record)


def _place(keys: tuple[int | str, ...]) -> str:
    words = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return "".join(words).removeprefix(".") or "it"
