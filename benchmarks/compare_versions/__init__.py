"""Compare what two versions of the package write, byte for byte."""
