"""Tests, written as statements about the product. The folders mirror the package; `support/` is what they share."""
