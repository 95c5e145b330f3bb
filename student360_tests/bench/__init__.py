"""How fast, compared side by side in one go: `make bench` (docs/reference/benchmarks.md).

Contains the comparisons, the other sides and the generated page. The ratios are the result; no test asserts a time.
"""
