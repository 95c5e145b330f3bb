"""Optional replacements for parts of a Dagster instance, named in dagster.yaml. Nothing else in the package imports them."""
