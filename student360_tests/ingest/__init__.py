"""Tests of `student360.ingest`."""
