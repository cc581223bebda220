"""Help pages: the options of a command in sections."""

from __future__ import annotations

from typing import Final

import click

OTHER: Final = "Other"
SECTIONS: Final = {
    "Where to listen": "port host base_path allowed_hosts token no_browser",
    "Page": "viewer protocol viewer_url viewer_cache",
    "Input": "modality layer raw gene_id_column rename_duplicates drop_cells_without_embedding "
    "accept_missing_chunks",
    "What to export or serve": "obs_keys genes genes_file embeddings latent_key graph no_graph "
    "no_vectors no_genes no_cell_ids",
    "Output": "out format zarr_format shards compression var_quantization obs_quantization "
    "categorical_dtype centroid_quantile centroid_min_points force restart verify preview report "
    "dry_run",
    "Compute": "workers memory scratch scheduler performance_report quantize cache_size cache_dir "
    "no_index no_backed",
    "Jobs of a batch queue": "cluster slurm partition account time job_memory job_cores directives "
    "setup parallel_environment memory_resource job_disk max_jobs adaptive interface",
    "Identity": "dataset_id dataset_name description source_name source_url citation citation_url "
    "created_at",
}
SECTION_OF: Final = {name: title for title, names in SECTIONS.items() for name in names.split()}
MIN_OPTIONS: Final = 8  # of a command whose options are in sections


class SectionedCommand(click.Command):
    """A command whose help has its options in sections, by what they are about."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; those of few options under one heading."""
        shown = [
            (SECTION_OF.get(option.name or "", OTHER), record)
            for option in self.get_params(ctx)
            if isinstance(option, click.Option)
            and (record := option.get_help_record(ctx)) is not None
        ]
        if len(shown) < MIN_OPTIONS:
            super().format_options(ctx, formatter)
            return
        for title in (*SECTIONS, OTHER):
            records = [record for where, record in shown if where == title]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class SectionedGroup(click.Group):
    """The group of such commands."""

    command_class = SectionedCommand
