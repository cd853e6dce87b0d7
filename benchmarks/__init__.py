"""Compares the times of whole commands: ours, psql, and the peers that are installed. `python -m benchmarks`."""
