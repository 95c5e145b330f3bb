"""Parsing of files: from bytes in a folder to typed rows. Uses neither Dagster nor the database."""
