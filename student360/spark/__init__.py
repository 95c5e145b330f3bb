"""Spark: the session, the reader of the warehouse, and the aggregates as pure functions."""
