"""How the chunks of a zarr array are named and packed: in files, in shards, in a zip."""
