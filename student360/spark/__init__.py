"""Spark: the session, the data source for the warehouse, and the aggregates as pure functions."""
