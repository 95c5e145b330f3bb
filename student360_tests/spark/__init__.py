"""Tests of `student360.spark`."""
