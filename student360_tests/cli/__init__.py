"""Tests of `student360.cli`."""
