"""The Dagster code: assets, checks, sensors, jobs, schedules and IO managers. The other packages do the work."""
