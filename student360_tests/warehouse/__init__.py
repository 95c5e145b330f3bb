"""Tests of `student360.warehouse`."""
