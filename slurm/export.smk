# Exports all atlases of a folder with Snakemake 8 or later, then writes the catalog of all.
#
#     snakemake -s slurm/export.smk --cores 8 --config atlases=atlases out=exports
#
# On a cluster, each export becomes a job: pip install snakemake-executor-plugin-slurm, and add
# --executor slurm --jobs 20 --default-resources slurm_partition=NAME. Plugins for other queues
# exist as well. More options of cellucid-dask export: --config options="--layer counts --verify".
#
# A job that fails is tried again, and resumes: unfinished work is kept beside the export. An atlas
# that is newer than the report of its export is exported again.
from pathlib import Path

ATLASES = Path(config.get("atlases", "atlases"))
OUT = config.get("out", "exports")
OPTIONS = config.get("options", "")
SUFFIXES = (".h5ad", ".zarr", ".zarr.zip")

INPUTS = {}  # path of each atlas, by the name of its export
for path in sorted(ATLASES.iterdir()):
    suffix = next((end for end in reversed(SUFFIXES) if path.name.endswith(end)), None)
    if suffix is not None and path.name != suffix:
        name = path.name.removesuffix(suffix)
        if name in INPUTS:
            raise WorkflowError(f"{INPUTS[name]} and {path} would both become {OUT}/{name}")
        INPUTS[name] = str(path)
if not INPUTS:
    raise WorkflowError(f"{ATLASES} has no .h5ad, .zarr or .zarr.zip")


localrules:
    catalog,


rule catalog:
    input:
        expand(f"{OUT}/{{name}}.report.json", name=INPUTS),
    output:
        f"{OUT}/datasets.json",
    shell:
        "cellucid-dask catalog {OUT:q}"


# The report is written when the export is complete, so it stands for the export.
rule export:
    input:
        lambda wildcards: INPUTS[wildcards.name],
    output:
        f"{OUT}/{{name}}.report.json",
    params:
        folder=lambda wildcards: f"{OUT}/{wildcards.name}",
        memory=lambda wildcards, resources: resources.mem_mb * 9 // 10,
    threads: 8
    resources:
        mem_mb=16000,
        runtime=240,
    retries: 3
    shell:
        "cellucid-dask export {input:q} -o {params.folder:q} --workers {threads}"
        " --memory {params.memory}MB --force --report {output:q} {OPTIONS}"
