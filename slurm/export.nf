// Exports atlases with Nextflow 23.10 or later, then writes the catalog of all.
//
//     nextflow run slurm/export.nf --atlases 'atlases/*.h5ad' --out exports
//
// On a cluster, each export becomes a job: add -process.executor=slurm (or pbspro, lsf, sge, condor)
// and -process.queue=NAME. More options of cellucid-dask export: --options '--layer counts --verify'.
//
// Each export is written where it stays, not in the folder of a task: a task that is tried again
// resumes there, and nothing is copied.
params.atlases = 'atlases/*.h5ad'
params.out = 'exports'
params.options = ''

process EXPORT {
    tag "${name}"
    cpus 8
    memory '16 GB'
    time '4h'
    errorStrategy 'retry'
    maxRetries 3

    input:
    tuple val(name), val(atlas), val(out)

    output:
    path 'report.json'

    script:
    """
    cellucid-dask export '${atlas}' -o '${out}/${name}' --workers ${task.cpus} \\
        --memory ${(task.memory.toMega() * 9).intdiv(10)}MiB --force --report report.json ${params.options}
    """
}

process CATALOG {
    executor 'local'

    input:
    val out
    path 'report*.json'

    output:
    path 'catalog.txt'

    script:
    """
    cellucid-dask catalog '${out}' | tee catalog.txt
    """
}

workflow {
    def out = file(params.out).toAbsolutePath().toString()
    def named = files(params.atlases, type: 'any').collect { atlas ->
        [atlas.name.replaceAll(/(\.h5ad|\.zarr|\.zarr\.zip)$/, ''), atlas.toString(), out]
    }
    if (named.isEmpty()) {
        error "there is no ${params.atlases}"
    }
    def names = named.collect { it[0] }
    if (names.toSet().size() < names.size()) {
        error "two of ${params.atlases} have the same name"
    }
    EXPORT(Channel.fromList(named))
    CATALOG(out, EXPORT.out.collect())
}
