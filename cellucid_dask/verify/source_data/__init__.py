"""The AnnData that an export was made of, read without the code that the export uses."""
