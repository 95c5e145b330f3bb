"""Tests of `student360.instance`."""
