"""Time the functions of the native library beside the numpy path, in one thread."""
