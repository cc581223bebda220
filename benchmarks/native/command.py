"""The command ``native``: time the native library beside the numpy path."""

from __future__ import annotations

import click

from benchmarks.native import encoders, steps
from benchmarks.shared.machine import describe_command, describe_machine
from cellucid_dask.native.library import find_library


@click.command("native")
@click.option("--cells", type=click.IntRange(100), default=200_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--quick", is_flag=True, help="A hundredth of the cells, one round.")
def command(cells: int, rounds: int, quick: bool) -> None:
    """Time the native library beside the numpy path, in one thread.

    Figures are medians of the CPU time of the thread, in ns for each stored value. Both ways take
    turns. Sizes are relative to zlib at level 6. All files are decoded and compared.
    """
    found = find_library()
    if found.library is None:
        raise click.ClickException(f"no native library: {found.explanation}")
    if quick:
        cells, rounds = cells // 100, 1
    print(f"Genes of {cells:,} cells:\n")
    print("\n".join(encoders.HEADER))
    for row in encoders.measure_encoders(cells, 20, rounds):
        print(row, flush=True)
    n_genes = 10_000 if not quick else 500
    print(f"\nA chunk of {cells // 10:,} cells x {n_genes:,} genes:\n")
    print("\n".join(steps.HEADER))
    for row in steps.measure_steps(cells // 10, n_genes, rounds):
        print(row, flush=True)
    print(f"\n- measured on: {describe_machine()}\n- command: `{describe_command()}`")
