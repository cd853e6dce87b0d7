"""`python -m benchmarks`: the command line. The only module of the benchmark that prints."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .contenders import Contender
from .ground import running_ground
from .machine import facts
from .plot import draw
from .roster import CONTENDERS
from .runner import Runner
from .table import render
from .values import Entrant, Measurement, Results, from_json

RESULTS = Path(__file__).resolve().parent / "results"
_REPEATS = ((3, 5),)
"""Up to so many services, so many rounds; else three."""


def main(
    sizes: Annotated[
        str, typer.Option(help="Numbers of services, such as 3,10.", show_default="what suits each contender")
    ] = "",
    repeat: Annotated[
        int | None, typer.Option(help="Rounds at each size.", show_default="5 with 3 services, 3 above", min=1)
    ] = None,
    contenders: Annotated[
        str, typer.Option(help=f"Which of: {', '.join(one.key for one in CONTENDERS)}.", show_default="all")
    ] = "",
    limit: Annotated[
        float, typer.Option(help="Whose four commands take more seconds together, has one round at that size.", min=0)
    ] = 40,
    output: Annotated[
        Path,
        typer.Option(help="Where results.json, table.md and plot.svg are written.", show_default="benchmarks/results"),
    ] = RESULTS,
    plot_only: Annotated[
        bool, typer.Option("--plot-only", help="Write table and plot again, from the results that are there.")
    ] = False,
) -> None:
    """Measure ours and its peers, in turns, on a PostgreSQL that is started for it."""
    file = output / "results.json"
    if plot_only:
        if not file.exists():
            raise typer.BadParameter(f"there is no {file}", param_hint="--plot-only")
        _write(from_json(json.loads(file.read_text(encoding="utf-8"))), output)
        return
    began = time.monotonic()
    chosen = _chosen(contenders)
    wanted = _numbers(sizes)
    entrants = tuple(_entrant(one) for one in chosen)
    for entrant in entrants:
        typer.echo(f"{entrant.label}: {entrant.version or f'not installed: {entrant.missing}'}")
    present = [one for one, entrant in zip(chosen, entrants, strict=True) if entrant.missing is None]
    if not present:
        raise typer.BadParameter("none of these is installed", param_hint="--contenders")
    output.mkdir(parents=True, exist_ok=True)
    measurements: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="golabs-benchmarks-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # a server started by root runs as another user, who must be able to pass
        with running_ground(folder) as ground:
            runner = Runner(ground, folder, limit, _say(began))
            for size in wanted or sorted({size for one in present for size in one.sizes}):
                taking_part = [one for one in present if wanted or size in one.sizes]
                measurements += runner.measure(size, taking_part, repeat or _repeats(size))
                results = Results(facts(ground), entrants, tuple(measurements))
                file.write_text(json.dumps(results.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                _write(results, output)
    typer.echo(f"written to {output} in {(time.monotonic() - began) / 60:.1f} min")
    if any(one.error for one in measurements):
        raise typer.Exit(1)


def _say(began: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        typer.echo(f"[{time.monotonic() - began:6.0f} s] {text}")

    return say


def _write(results: Results, output: Path) -> None:
    (output / "table.md").write_text(render(results), encoding="utf-8")
    draw(results, output / "plot.svg")


def _chosen(keys: str) -> list[Contender]:
    wanted = [key.strip() for key in keys.split(",") if key.strip()]
    known = {one.key for one in CONTENDERS}
    if unknown := [key for key in wanted if key not in known]:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return [one for one in CONTENDERS if not wanted or one.key in wanted]


def _entrant(contender: Contender) -> Entrant:
    version = contender.version()
    missing = contender.install if version is None else None
    return Entrant(contender.key, contender.label, version, missing, contender.notes)


def _numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(part) for part in text.split(",") if part.strip()})
    except ValueError:
        numbers = [0]
    if numbers and not 0 < numbers[0] <= numbers[-1] < 9999:
        raise typer.BadParameter(f"{text!r} is no list of numbers from 1 to 9998, such as 3,10", param_hint="--sizes")
    return numbers


def _repeats(size: int) -> int:
    return next((rounds for largest, rounds in _REPEATS if size <= largest), 3)


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
    )  # so that the server is stopped then, too
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
