"""The engine: command line, study loop, strategies, executors, run directory, reports."""

__version__ = "0.1.0"
