"""Arrays of a source, described and read piece by piece: matrices, columns, and arrays of obsm."""
