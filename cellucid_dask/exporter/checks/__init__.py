"""Everything that can be wrong with an input or a machine, found before a file is written."""
