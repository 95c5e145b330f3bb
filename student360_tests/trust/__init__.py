"""The reliability tests: bad inputs, faults, kills and the soak, with figures as tables."""
