"""Ready files: how a gene-major AnnData is laid out, and how its chunks are encoded and stored."""
