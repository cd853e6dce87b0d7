"""Measures contenders in turns: each round gives every one of them an empty server once, so that whatever changes on the
machine meanwhile hits all alike. The first round at a size is not counted: it warms up, and looks at the memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from golabs_infra.errors import GolabsError

from .checking import CheckError, check
from .contenders import Contender
from .ground import Ground
from .measure import CommandError, Ran, run
from .statistics import duration
from .values import Measurement, Scenario, services

_FAILURES = (CommandError, CheckError, RuntimeError, OSError, GolabsError, psycopg.Error)


@dataclass
class Tally:
    """What is known of one contender at one size. `slow`: the commands of a round took longer than the limit."""

    contender: Contender
    size: int
    seconds: dict[Scenario, list[float]] = field(default_factory=dict)
    peaks: dict[Scenario, int] = field(default_factory=dict)
    wrote: bool | None = None
    slow: bool = False
    errors: dict[Scenario, str] = field(default_factory=dict)

    def measurements(self) -> list[Measurement]:
        """The same as results."""
        return [
            Measurement(
                contender=self.contender.key,
                size=self.size,
                scenario=scenario,
                seconds=tuple(round(one, 4) for one in self.seconds.get(scenario, ())),
                peak_bytes=self.peaks.get(scenario),
                wrote=self.wrote if scenario is Scenario.SAME else None,
                error=self.errors.get(scenario),
            )
            for scenario in Scenario
            if scenario in self.seconds or scenario in self.peaks or scenario in self.errors
        ]


@dataclass
class Runner:
    """Runs rounds on one server. `limit`: whose commands take longer together, in seconds, has one counted round at a size."""

    ground: Ground
    folder: Path
    limit: float
    say: Callable[[str], None]

    def measure(self, size: int, contenders: Sequence[Contender], repeat: int) -> list[Measurement]:
        """All scenarios at one size, `repeat` times."""
        tallies = [Tally(contender, size) for contender in contenders]
        for number in range(repeat + 1):
            for tally in tallies:
                if tally.errors or (tally.slow and number > 1):
                    continue
                title = f"round {number} of {repeat}" if number else "warm-up and memory"
                done = self._round(tally, sample=not number)
                self.say(f"{size} services, {title}: {tally.contender.label}: {_in_words(done, tally.errors)}")
        return [one for tally in tallies for one in tally.measurements()]

    def _round(self, tally: Tally, *, sample: bool) -> dict[Scenario, Ran]:
        contender = tally.contender
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        done: dict[Scenario, Ran] = {}
        scenario = Scenario.FRESH
        try:
            self.ground.wipe()
            listed = services(tally.size + 1)
            session = contender.open(self.ground, folder)
            session.configure(listed[:-1])
            for scenario in Scenario:
                added = scenario is Scenario.ADDED
                if added:
                    session.configure(listed)
                commands = session.commands(scenario)
                if not commands:
                    continue
                self.ground.settle()
                before = self.ground.written() if scenario is Scenario.SAME else ""
                ran = done[scenario] = run(commands, sample=sample)
                if scenario is Scenario.SAME:
                    tally.wrote = before != self.ground.written()
                    if tally.wrote and contender.quiet:
                        raise CheckError("it wrote to the catalogs, though there was nothing to change")
                check(self.ground, listed if added else listed[:-1], session.password, contender.accepted)
                tally.slow |= sum(one.seconds for one in done.values()) > self.limit
                if ran.peak_bytes is not None:
                    tally.peaks[scenario] = ran.peak_bytes
                    if tally.slow:
                        return done  # that was warm-up enough for what takes so long
                else:
                    tally.seconds.setdefault(scenario, []).append(ran.seconds)
        except _FAILURES as error:
            tally.errors[scenario] = str(error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return done


def _in_words(done: Mapping[Scenario, Ran], errors: Mapping[Scenario, str]) -> str:
    words = [f"{scenario} {duration(ran.seconds)} s" for scenario, ran in done.items() if scenario not in errors]
    words += [f"{scenario} FAILED: {text}" for scenario, text in errors.items()]
    return ", ".join(words)
