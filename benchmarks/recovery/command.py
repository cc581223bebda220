"""The command ``recovery``: kill exports with SIGKILL, resume them, and compare what they write."""

from __future__ import annotations

import random
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import click

from benchmarks.recovery.atlases import FORMATS, LAYOUTS, Atlases, Formats, Layout
from benchmarks.recovery.rounds import Rounds
from benchmarks.recovery.runs import find_processes, kill_processes


def _parse_formats(_ctx: Any, _param: Any, values: tuple[str, ...]) -> tuple[Formats, ...]:
    try:
        return tuple(map(Formats.parse, values or FORMATS))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("recovery")
@click.option(
    "--kills", type=click.IntRange(1), default=100, show_default=True, help="Kills in all."
)
@click.option(
    "--seed", type=int, help="Seed of the random choices; timing still differs. [default: random]"
)
@click.option(
    "--cells",
    type=click.IntRange(1000),
    default=140_000,
    show_default=True,
    help="Cells of an atlas.",
)
@click.option(
    "--genes", type=click.IntRange(50), default=400, show_default=True, help="Genes of an atlas."
)
@click.option(
    "--layout",
    "layouts",
    type=click.Choice(LAYOUTS),
    multiple=True,
    help="Layout of the matrix; repeat for more. [default: all in turn]",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    callback=_parse_formats,
    help="What is written, as `export --format` takes it, with :3 or :shards for that version of "
    f"zarr; repeat for more. [default: in turn {' '.join(FORMATS)}]",
)
def command(
    kills: int,
    seed: int | None,
    cells: int,
    genes: int,
    layouts: tuple[Layout, ...],
    formats: tuple[Formats, ...],
) -> None:
    """Kill exports at random moments, resume them, and compare what they write.

    It makes small synthetic atlases in a temporary folder, and an uninterrupted export of each.
    Then, round after round, the same command runs with other numbers of workers, memory and
    scratch folders, and is killed up to ten times before it may end. All outputs must equal those
    of the uninterrupted run, file for file, checksums included; after every kill each output must
    be the complete old one or the complete new one; the next run must resume with what the journal
    records; and nothing may be left over. The exit code is 1 if any of this does not hold.
    """
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    print(f"seed {seed}; {cells:,} cells, {genes:,} genes\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="cellucid-dask-recovery-") as name:
        folder = Path(name).resolve()
        atlases = Atlases(folder, cells, genes, seed % 1000)
        pairs, rng = list(product(formats, layouts or LAYOUTS)), random.Random(seed)
        rng.shuffle(pairs)
        rounds, number = Rounds(folder, rng, kills), 0
        tally = rounds.tally
        try:
            while tally.kills.total() < kills:
                one_format, layout = pairs[number % len(pairs)]
                rounds.make_export(atlases.find_or_make(layout, one_format), number)
                rounds.compare_exports()
                number += 1
                done = f"{tally.kills.total()} of {kills} kills, {tally.exports} exports"
                click.echo(f"{done}, {len(tally.failures)} wrong", err=True)
            rounds.compare_exports(is_last=True)
        finally:
            kill_processes(find_processes(folder))
    print("\n".join(tally.format_lines()))
    sys.exit(1 if tally.failures else 0)
