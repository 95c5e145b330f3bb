"""Generators of those pages and pictures of the documentation that code and SQL determine."""
