"""Options of `preview`, `verify` and `slurm-script`."""

from __future__ import annotations

import click

from cellucid_dask.commands.shared_options import (
    accept_missing_chunks,
    combine_options,
    drop_cells,
    embedding_and_graph,
    expression,
    job_options,
    latent_key,
    modality,
    setup,
)

preview_options = combine_options(
    click.option(
        "-o",
        "--out",
        type=click.Path(),
        metavar="FILE",
        help="File to write: .png, .pdf or .svg. [default: NAME-preview.png]",
    ),
    click.option(
        "--color",
        multiple=True,
        metavar="KEY",
        help="Color by this obs column or gene, obs:KEY or gene:NAME where both have the name; "
        "repeat for more. [default: the first few columns]",
    ),
    click.option(
        "--dimension", type=int, metavar="D", help="Embedding to draw. [default: 2, else 3, else 1]"
    ),
    click.option(
        "--columns",
        type=int,
        metavar="N",
        help="Thumbnails in a row. [default: 2, and 3 for more than 6]",
    ),
)

verify_options = combine_options(
    click.option(
        "--against",
        type=click.Path(),
        metavar="DATA",
        help="Compare with the .h5ad, .zarr or .zarr.zip that the export was made from.",
    ),
    click.option(
        "--sample",
        type=click.IntRange(0),
        metavar="N",
        help="Compare only N genes, evenly spaced. [default: all]",
    ),
    modality,
    expression,
    embedding_and_graph,
    latent_key("as the export has it"),
    drop_cells,
    accept_missing_chunks,
    click.option(
        "--workers",
        type=click.IntRange(1),
        metavar="N",
        help="Threads. [default: the cores this process may use]",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."),
    click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
)

script_options = combine_options(
    click.option(
        "--data",
        metavar="PATH",
        help="Data to export or serve; for an array, the list.",
    ),
    click.option("-o", "--out", metavar="DIR", help="Folder to make; for an array, of exports."),
    job_options(memory=" on each node, such as 16GB."),
    click.option("--nodes", type=int, metavar="N", help="Nodes of export-nodes."),
    click.option("--workers", type=int, metavar="N", help="Workers on each node of export-nodes."),
    click.option(
        "--interface", metavar="NAME", help="Network between the nodes of export-nodes, as ib0."
    ),
    setup,
    click.option(
        "--log-dir", metavar="DIR", help="Folder of the logs. [default: where you submit]"
    ),
)
