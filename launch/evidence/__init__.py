"""Holds experiments of the papers, their results, and RESULTS.md.

`catalogue` defines the experiments, `runner` runs them, `results` reads and
writes `results/NAME.json`, and `page` makes RESULTS.md of these files.
"""
