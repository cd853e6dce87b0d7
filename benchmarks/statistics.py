"""Medians, spread and ratios. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """So many measurements of one thing, in seconds."""

    count: int
    median: float
    low: float
    high: float

    def times(self, base: Summary) -> float:
        """How many times as long it takes as `base`, by the medians."""
        return self.median / base.median


def summarise(seconds: Sequence[float]) -> Summary | None:
    """Median, minimum and maximum; None of nothing."""
    if not seconds:
        return None
    return Summary(len(seconds), statistics.median(seconds), min(seconds), max(seconds))


def duration(seconds: float) -> str:
    """Seconds with the three digits that mean something: 0.123 s, 1.23 s, 12.3 s, 123 s."""
    decimals = 3 if seconds < 0.9995 else 2 if seconds < 9.995 else 1 if seconds < 99.95 else 0
    return f"{seconds:.{decimals}f}"


def factor(value: float) -> str:
    """A ratio with two digits: 0.81, 2.3, 45."""
    decimals = 2 if value < 0.995 else 1 if value < 9.95 else 0
    return f"{value:.{decimals}f}"


def mebibytes(count: int) -> str:
    """Bytes as whole MiB."""
    return f"{count / 1024**2:.0f}"
