"""Everything that is Dagster's: assets, checks, sensors, jobs, schedules, IO managers. They call the packages below."""
