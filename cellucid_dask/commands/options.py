"""The options of the command line, in the groups that commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

BITS = "[8|16|none]"


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Make one decorator of several, first on top in the help."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


modality = click.option("--modality", metavar="NAME", help="Take this modality of a MuData.")

expression = together(
    click.option(
        "--layer", metavar="NAME", help="Take the expression from this layer in place of X."
    ),
    click.option("--raw", is_flag=True, help="Take the expression from raw in place of X."),
)

embedding_and_graph = together(
    click.option(
        "--embedding",
        "embeddings",
        multiple=True,
        metavar="2d=KEY",
        help="obsm key of an embedding; repeat for more. [default: X_umap_2d and the like]",
    ),
    click.option(
        "--graph", metavar="KEY", help="obsp key of the neighbour graph. [default: connectivities]"
    ),
)


def latent_key(default: str) -> Callable[[F], F]:
    """Make the option that names the latent space."""
    said = f"obsm key of the latent space. [default: {default}]"
    return click.option("--latent-key", metavar="K", help=said)


accept_missing_chunks = click.option(
    "--accept-missing-chunks",
    is_flag=True,
    help="Read chunks that the store lacks as its fill value, also where that looks like a loss.",
)

drop_cells = click.option(
    "--drop-cells-without-embedding",
    is_flag=True,
    help="Leave out cells that have NaN or Inf in an embedding.",
)

input_options = together(
    click.option(
        "--obs-key",
        "obs_keys",
        multiple=True,
        metavar="K",
        help="Take this obs column; repeat for more. [default: all]",
    ),
    click.option(
        "--gene",
        "genes",
        multiple=True,
        metavar="G",
        help="Take this gene; repeat for more. [default: all]",
    ),
    click.option(
        "--genes-file",
        type=click.Path(dir_okay=False),
        metavar="F",
        help="Take the genes of this file, one id a line, after those of --gene.",
    ),
    click.option(
        "--gene-id-column",
        default="index",
        show_default=True,
        metavar="C",
        help="Column of var with the gene ids.",
    ),
    click.option(
        "--rename-duplicates", is_flag=True, help="Append -1, -2, ... to repeated gene ids."
    ),
    modality,
    expression,
    latent_key("found"),
    embedding_and_graph,
    click.option("--no-graph", is_flag=True, help="Take no neighbour graph."),
    click.option("--no-vectors", is_flag=True, help="Take no vector fields."),
    click.option("--no-genes", is_flag=True, help="Take no gene expression."),
    click.option(
        "--categorical-dtype",
        metavar="[auto|uint8|uint16]",
        default="auto",
        show_default=True,
        help="Type of the codes of categories.",
    ),
    drop_cells,
    accept_missing_chunks,
)

worker_options = together(
    click.option(
        "--workers",
        type=int,
        metavar="N",
        help="Processes; 1 runs threads in this one. [default: the cores this process may use]",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        help="Bound on the summed resident memory of all processes. "
        "[default: half of what is available]",
    ),
)


def job_options(
    partition: str = ".", time: str = ".", memory: str = ".", cores: str = "."
) -> Callable[[F], F]:
    """Make options of a job of SLURM, each with what its help says besides."""
    return together(
        click.option("--partition", metavar="P", help=f"Partition of a job{partition}"),
        click.option("--account", metavar="A", help="Account of a job."),
        click.option("--time", metavar="T", help=f"Time limit of a job, such as 2:00:00{time}"),
        click.option("--job-memory", metavar="SIZE", help=f"Memory of a job{memory}"),
        click.option("--job-cores", type=int, metavar="N", help=f"Cores of a job{cores}"),
        click.option(
            "--slurm-directive",
            "slurm_directives",
            multiple=True,
            metavar="OPTION",
            help='Another option of sbatch, such as "--qos=long"; repeat for more.',
        ),
    )


slurm_options = together(
    click.option(
        "--slurm", is_flag=True, help="Submit jobs of workers to SLURM; --workers says how many."
    ),
    job_options(
        partition=". [default: that of the site]",
        time=". [default: that of the site, else 30 minutes]",
        memory=". [default: 4 GiB for each core]",
        cores=", one worker each. [default: 1]",
    ),
    click.option("--max-jobs", type=int, metavar="N", help="Jobs at the same time, at most."),
    click.option(
        "--adaptive", is_flag=True, help="Have as many jobs as there is work for, up to --workers."
    ),
    click.option(
        "--interface",
        metavar="NAME",
        help="Network interface by which the nodes reach this machine, such as ib0.",
    ),
)

export_options = together(
    click.option(
        "-o",
        "--out",
        type=click.Path(),
        metavar="DIR",
        help="Folder to make. [default: exports/NAME]",
    ),
    worker_options,
    click.option(
        "--scratch",
        type=click.Path(),
        metavar="DIR",
        help="Where the spill goes. [default: beside the output]",
    ),
    click.option(
        "--scheduler",
        metavar="ADDR",
        help="Join a running dask scheduler: tcp://host:port or a scheduler file.",
    ),
    slurm_options,
    click.option(
        "--compression",
        type=int,
        default=6,
        show_default=True,
        help="Gzip level; 0 writes plain files.",
    ),
    click.option(
        "--var-quantization",
        metavar=BITS,
        default="8",
        show_default=True,
        help="Bits of a gene value.",
    ),
    click.option(
        "--obs-quantization",
        metavar=BITS,
        default="8",
        show_default=True,
        help="Bits of a continuous obs value.",
    ),
    click.option(
        "--centroid-quantile",
        type=float,
        default=0.95,
        show_default=True,
        metavar="Q",
        help="Cells nearer than this quantile make the centroid of a category.",
    ),
    click.option(
        "--centroid-min-points",
        type=int,
        default=10,
        show_default=True,
        metavar="N",
        help="Smaller categories get no centroid.",
    ),
    click.option("--dataset-id", metavar="ID", help="Id in the identity. [default: from the name]"),
    click.option(
        "--dataset-name", metavar="NAME", help="Name in the identity. [default: that of the folder]"
    ),
    click.option("--description", default="", metavar="TEXT", help="Description in the identity."),
    click.option("--source-name", metavar="NAME", help="Who made the data."),
    click.option("--source-url", metavar="URL", help="Where the data is from."),
    click.option("--citation", metavar="TEXT", help="How to cite the data."),
    click.option(
        "--created-at",
        metavar="TIME",
        help="UTC time in the identity, 2026-01-31T12:00:00Z. "
        "[default: SOURCE_DATE_EPOCH, else now]",
    ),
    click.option(
        "--force",
        is_flag=True,
        help="Replace an export that is there, once the new one is complete.",
    ),
    click.option(
        "--restart",
        is_flag=True,
        help="Discard what an earlier run left unfinished. [default: go on with it]",
    ),
    click.option(
        "--verify",
        is_flag=True,
        help="Read all that was written before it is published.",
    ),
    click.option("--dry-run", is_flag=True, help="Check and print the plan; write nothing."),
    click.option(
        "--report",
        type=click.Path(),
        metavar="FILE.json",
        help="Write the run report here as well.",
    ),
    click.option(
        "--performance-report",
        type=click.Path(),
        metavar="FILE.html",
        help="Save dask's own report of its tasks here.",
    ),
    click.option(
        "--preview",
        type=click.Path(),
        metavar="FILE.png",
        help="Draw a sheet of thumbnails of the export here, as the command preview does.",
    ),
    click.option("--quiet", is_flag=True, help="Print nothing but errors."),
)

cache_dir = click.option(
    "--cache-dir",
    type=click.Path(),
    metavar="DIR",
    help="Where gene indexes are kept. [default: cellucid-dask in your cache folder]",
)

serve_options = together(
    click.option(
        "-p",
        "--port",
        type=int,
        default=8765,
        show_default=True,
        help="Port to listen on; the next free one if it is taken.",
    ),
    click.option(
        "-H", "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
    ),
    click.option("--no-browser", is_flag=True, help="Open no browser."),
    click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Print a line for every request."),
    click.option(
        "--quantize", type=int, metavar="8|16", help="Serve codes of 8 or 16 bits, not float32."
    ),
    click.option(
        "--cache-size",
        default="512MB",
        show_default=True,
        metavar="SIZE",
        help="Bound on the memory of answers, kept and being made.",
    ),
    cache_dir,
    click.option("--no-index", is_flag=True, help="Make and use no gene index of CSR data."),
    click.option("--no-backed", is_flag=True, help="Read the whole AnnData into memory first."),
    click.option(
        "--allowed-host",
        "allowed_hosts",
        multiple=True,
        metavar="NAME",
        help="Another name the Host header may have; repeat for more.",
    ),
    click.option(
        "--token",
        envvar="CELLUCID_DASK_TOKEN",
        metavar="TOKEN|auto|none",
        help="Secret that requests must carry. [default: none on a loopback address]",
    ),
    click.option(
        "--base-path", default="", metavar="/PREFIX", help="Prefix of all paths, behind a proxy."
    ),
    click.option(
        "--viewer",
        metavar="[builtin|hosted|none]",
        default="builtin",
        show_default=True,
        help="The page to look at the data with; hosted fetches that of the Cellucid site.",
    ),
    click.option(
        "--viewer-url", metavar="URL", help="Site of the hosted page. [default: that of Cellucid]"
    ),
    click.option(
        "--viewer-cache",
        type=click.Path(),
        metavar="DIR",
        help="Where the hosted page is kept. [default: cellucid-dask in your cache folder]",
    ),
    click.option("--dataset-id", metavar="ID", help="Id in the identity. [default: from the name]"),
    click.option(
        "--dataset-name", metavar="NAME", help="Name in the identity. [default: that of the file]"
    ),
)

preview_options = together(
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
        help="Colour by this obs column or gene, obs:KEY or gene:NAME where both have the name; "
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

verify_options = together(
    click.option(
        "--against",
        type=click.Path(),
        metavar="DATA",
        help="Compare with the .h5ad, .zarr or .zarr.zip it was made of.",
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

script_options = together(
    click.option(
        "--data", metavar="PATH", help="What is exported or served; for an array, the list."
    ),
    click.option("-o", "--out", metavar="DIR", help="Folder to make; for an array, of exports."),
    job_options(memory=" on each node, such as 16GB."),
    click.option("--nodes", type=int, metavar="N", help="Nodes of export-nodes."),
    click.option("--workers", type=int, metavar="N", help="Workers on each node of export-nodes."),
    click.option(
        "--interface", metavar="NAME", help="Network between the nodes of export-nodes, as ib0."
    ),
    click.option(
        "--setup",
        multiple=True,
        metavar="COMMAND",
        help='Line of shell before the command, such as "module load python"; repeat for more.',
    ),
    click.option(
        "--log-dir", metavar="DIR", help="Folder of the logs. [default: where you submit]"
    ),
)

# main() looks for it, since an error may come before a command has parsed its own options.
debug = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show a traceback with an error."
)
