"""Tests of `student360.operations`."""
