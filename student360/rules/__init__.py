"""What an analyst edits (data/reference), how it is checked, the risk list of any day, and the back-test."""
