"""From the landing folder into the warehouse, exactly once: the steps behind the raw, staging and core assets."""
