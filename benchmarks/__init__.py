"""Measurements as commands: `python -m benchmarks.bench_<what>`; `make bench` runs them all."""
