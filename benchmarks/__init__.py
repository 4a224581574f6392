"""Measurements against peers, each a program: ``python -m benchmarks.speed.embed``."""
