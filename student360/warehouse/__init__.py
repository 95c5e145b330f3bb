"""The warehouse: the database interface, one engine per database, the ledger, and the SQL files as objects."""
