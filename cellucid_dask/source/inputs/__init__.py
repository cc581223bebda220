"""One reader for each kind of input, each of which makes a `Source`."""
