"""The native gene path: C for transposing and encoding sparse genes, where it could be built."""
