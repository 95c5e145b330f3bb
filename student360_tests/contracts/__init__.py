"""Tests of `student360.contracts`."""
