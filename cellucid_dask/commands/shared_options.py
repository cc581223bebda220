"""Options that several commands share, and how groups of options are combined."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


def combine_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Combine option decorators into one; the first is on top in the help."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class Suggestions(click.types.StringParamType):
    """Text for which a shell suggests `words`; what is given is checked with everything else."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Suggest the words that begin as what is typed."""
        from click.shell_completion import CompletionItem

        del ctx, param
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


modality = click.option("--modality", metavar="NAME", help="Take this modality of a MuData.")

expression = combine_options(
    click.option(
        "--layer", metavar="NAME", help="Take the expression from this layer in place of X."
    ),
    click.option("--raw", is_flag=True, help="Take the expression from raw in place of X."),
)

embedding_and_graph = combine_options(
    click.option(
        "--embedding",
        "embeddings",
        multiple=True,
        metavar="2d=KEY",
        help="obsm key of an embedding; repeat for more, the first of a dimension is its default. "
        "[default: X_umap_2d and the like]",
    ),
    click.option(
        "--graph", metavar="KEY", help="obsp key of the neighbour graph. [default: connectivities]"
    ),
)


def latent_key(default: str) -> Callable[[F], F]:
    """Make the option for the obsm key of the latent space."""
    text = f"obsm key of the latent space. [default: {default}]"
    return click.option("--latent-key", metavar="K", help=text)


accept_missing_chunks = click.option(
    "--accept-missing-chunks",
    is_flag=True,
    help="Read missing chunks as the fill value, even if the store seems to have lost them.",
)

drop_cells = click.option(
    "--drop-cells-without-embedding",
    is_flag=True,
    help="Leave out cells that have NaN or Inf in an embedding.",
)

format_options = combine_options(
    click.option(
        "--format",
        type=Suggestions("folder", "zarr", "zarr.zip", "h5ad"),
        default="folder",
        show_default=True,
        metavar="[folder|zarr|zarr.zip|h5ad]",
        help="What to write: a folder for the page of serve, or a ready file for cellucid.com; "
        "several with commas between them.",
    ),
    click.option(
        "--zarr-format", type=int, metavar="[2|3]", help="Zarr format of ready stores. [default: 2]"
    ),
    click.option(
        "--shards",
        is_flag=True,
        help="Write many chunks of a zarr store of format 3 into one file.",
    ),
)

input_options = combine_options(
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
        help="Take the genes in this file, one id per line, after those of --gene.",
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
    click.option("--no-cell-ids", is_flag=True, help="Take no ids of cells, such as barcodes."),
    click.option(
        "--categorical-dtype",
        type=Suggestions("auto", "uint8", "uint16"),
        metavar="[auto|uint8|uint16]",
        default="auto",
        show_default=True,
        help="Type of the codes of categories.",
    ),
    drop_cells,
    accept_missing_chunks,
)


def identity_options(default_name: str) -> Callable[[F], F]:
    """Make the options for what the dataset says of itself; `default_name` is whose name it has."""
    return combine_options(
        click.option(
            "--dataset-id", metavar="ID", help="Id of the dataset. [default: from the name]"
        ),
        click.option(
            "--dataset-name",
            metavar="NAME",
            help=f"Name that users see. [default: that of the {default_name}]",
        ),
        click.option(
            "--description", default="", metavar="TEXT", help="Description that users see."
        ),
        click.option("--source-name", metavar="NAME", help="Who made the data."),
        click.option("--source-url", metavar="URL", help="URL of the data."),
        click.option("--citation", metavar="TEXT", help="How to cite the data."),
        click.option(
            "--citation-url", metavar="URL", help="URL of the citation, for the public app."
        ),
    )


worker_options = combine_options(
    click.option(
        "--workers",
        type=int,
        metavar="N",
        help="Worker processes; 1 runs threads in this one. [default: threads, one per core]",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        help="Limit of the resident memory of all processes together. "
        "[default: half of what is available]",
    ),
)


def job_options(
    partition: str = ".", time: str = ".", memory: str = ".", cores: str = "."
) -> Callable[[F], F]:
    """Make the options of a SLURM job; each argument completes a help text."""
    return combine_options(
        click.option(
            "--partition",
            "--queue",
            "partition",
            metavar="P",
            help=f"Partition of a job{partition}",
        ),
        click.option("--account", metavar="A", help="Account of a job."),
        click.option("--time", metavar="T", help=f"Time limit of a job, such as 2:00:00{time}"),
        click.option("--job-memory", metavar="SIZE", help=f"Memory of a job{memory}"),
        click.option("--job-cores", type=int, metavar="N", help=f"Cores of a job{cores}"),
        click.option(
            "--directive",
            "--slurm-directive",
            "directives",
            multiple=True,
            metavar="LINE",
            help='Another line of the job script, such as "--qos=long"; repeat for more.',
        ),
    )


setup = click.option(
    "--setup",
    multiple=True,
    metavar="COMMAND",
    help='Shell command that a job runs first, such as "module load python"; repeat for more.',
)

cache_dir = click.option(
    "--cache-dir",
    type=click.Path(),
    metavar="DIR",
    help="Folder of the gene indexes. [default: cellucid-dask in your cache folder]",
)

# main() reads it from the arguments: an error may occur before a command parses its options.
debug = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show a traceback with an error."
)
