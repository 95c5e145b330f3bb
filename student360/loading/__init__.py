"""Load files from the landing folder into the warehouse exactly once: the steps of the raw, staging and core assets."""
