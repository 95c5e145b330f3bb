"""From bytes in a folder to typed rows: pure logic, no Dagster and no database."""
