"""The reference files in data/reference and their checks, the risk list as of any day, and the back-test."""
