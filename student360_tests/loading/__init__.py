"""Tests of `student360.loading`."""
