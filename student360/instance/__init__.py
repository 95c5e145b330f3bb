"""Optional replacements for parts of a Dagster instance, named in dagster.yaml. Nothing else imports them."""
