"""Tests of `student360.orchestration`."""
