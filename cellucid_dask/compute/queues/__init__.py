"""Workers that run as jobs of a batch queue: SLURM, PBS, LSF, SGE or HTCondor."""
