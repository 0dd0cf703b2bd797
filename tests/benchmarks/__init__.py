"""Benchmarks, each against something known, side by side: `python -m tests.benchmarks --help`. pytest does not collect them."""
