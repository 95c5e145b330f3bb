"""Helpers shared by tests, benchmarks and the fault harness: installations, PostgreSQL servers, canaries."""
