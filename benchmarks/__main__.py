"""``python -m benchmarks NAME`` runs the benchmark NAME."""

from benchmarks.entry import benchmarks

if __name__ == "__main__":
    benchmarks(prog_name="python -m benchmarks")
