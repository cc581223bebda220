"""Time the compressors that could write the chunks of ready files, in one thread."""
