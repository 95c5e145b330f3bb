"""Tests of `student360.cli` and of the documentation."""
