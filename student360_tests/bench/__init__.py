"""How fast, compared side by side in one go: `make bench` (docs/reference/benchmarks.md).

Belongs here: the comparisons, what they are compared with, and the page. Does not belong here: any assertion. Ratios
are the result, and no test asserts a time.
"""
