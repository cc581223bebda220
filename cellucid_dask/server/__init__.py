"""The same paths as an export has, answered live from AnnData files or from exports."""
