"""What an analyst edits (data/reference), how it is checked, and what follows from it: the risk list of any day and the back-test."""
