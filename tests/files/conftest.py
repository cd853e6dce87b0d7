"""Fixtures of the ring that reads and writes files. Nothing here opens a connection or starts a program."""

from __future__ import annotations

from ..unit.conftest import _each_key_once, quick_keys, tracked_crypter, tracked_stack  # noqa: F401 - fixtures
