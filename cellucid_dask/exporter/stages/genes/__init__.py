"""The gene stages: the transposition into spill files, and the blocks of genes."""
