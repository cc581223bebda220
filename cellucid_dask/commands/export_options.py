"""Options of `export`."""

from __future__ import annotations

import click

from cellucid_dask.commands.shared_options import (
    Suggestions,
    combine_options,
    format_options,
    identity_options,
    job_options,
    setup,
    worker_options,
)

BITS = "[8|16|none]"

queue_options = combine_options(
    click.option(
        "--cluster",
        type=Suggestions("slurm", "pbs", "lsf", "sge", "htcondor"),
        metavar="[slurm|pbs|lsf|sge|htcondor]",
        help="Run the workers as jobs of this batch queue, as many as --workers.",
    ),
    click.option("--slurm", is_flag=True, help="The same as --cluster slurm."),
    job_options(
        partition=". [default: that of the site]",
        time=". [default: that of the site, else 30 minutes]",
        memory=". [default: 4 GiB for each core]",
        cores=", one worker each. [default: 1]",
    ),
    setup,
    click.option(
        "--parallel-environment", metavar="PE", help="SGE: environment of jobs of several cores."
    ),
    click.option(
        "--memory-resource",
        metavar="NAME",
        help="SGE: resource that reserves --job-memory, such as h_vmem.",
    ),
    click.option(
        "--job-disk", metavar="SIZE", help="HTCondor: disk of a job on its node. [default: 1GB]"
    ),
    click.option("--max-jobs", type=int, metavar="N", help="Jobs at the same time, at most."),
    click.option(
        "--adaptive",
        is_flag=True,
        help="Start and stop jobs with the amount of work, up to --workers.",
    ),
    click.option(
        "--interface",
        metavar="NAME",
        help="Network interface over which the nodes reach this machine, such as ib0.",
    ),
)

export_options = combine_options(
    click.option(
        "-o",
        "--out",
        type=click.Path(),
        metavar="PATH",
        help="Folder or file to make. [default: exports/NAME, with the suffix of the format]",
    ),
    format_options,
    worker_options,
    click.option(
        "--scratch",
        type=click.Path(),
        metavar="DIR",
        help="Folder for spill files. [default: beside the output]",
    ),
    click.option(
        "--scheduler",
        metavar="ADDR",
        help="Use a running dask scheduler: tcp://host:port or a scheduler file.",
    ),
    queue_options,
    click.option(
        "--compression",
        type=int,
        default=6,
        show_default=True,
        help="Gzip level of a folder; 0 writes plain files.",
    ),
    click.option(
        "--var-quantization",
        metavar=BITS,
        default="8",
        show_default=True,
        help="Bits of a gene value of a folder.",
    ),
    click.option(
        "--obs-quantization",
        metavar=BITS,
        default="8",
        show_default=True,
        help="Bits of a continuous obs value of a folder.",
    ),
    click.option(
        "--centroid-quantile",
        type=float,
        default=0.95,
        show_default=True,
        metavar="Q",
        help="Cells within this quantile of the distances make the centroid of a category.",
    ),
    click.option(
        "--centroid-min-points",
        type=int,
        default=10,
        show_default=True,
        metavar="N",
        help="Categories with fewer cells get no centroid and no outlier quantiles.",
    ),
    identity_options("output"),
    click.option(
        "--created-at",
        metavar="TIME",
        help="UTC time in the identity, 2026-01-31T12:00:00Z. "
        "[default: SOURCE_DATE_EPOCH, else now]",
    ),
    click.option(
        "--force",
        is_flag=True,
        help="Replace an existing export once the new one is complete.",
    ),
    click.option(
        "--restart",
        is_flag=True,
        help="Discard the unfinished work of an earlier run. [default: resume it]",
    ),
    click.option(
        "--verify",
        is_flag=True,
        help="Read back every file before the export is published.",
    ),
    click.option("--dry-run", is_flag=True, help="Check and print the plan; write nothing."),
    click.option(
        "--report",
        type=click.Path(),
        metavar="FILE.json",
        help="Write the run report to this file.",
    ),
    click.option(
        "--performance-report",
        type=click.Path(),
        metavar="FILE.html",
        help="Save dask's performance report to this file.",
    ),
    click.option(
        "--preview",
        type=click.Path(),
        metavar="FILE.png",
        help="Draw a sheet of thumbnails of the export to this file, as the command preview does.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors."),
)
