"""Tests, as statements about the product. They mirror the package; `running.py` holds the real house they live in."""
