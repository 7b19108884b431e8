"""The paper's figures and tables, made again with this library: ``python -m benchmarks.paper``."""
