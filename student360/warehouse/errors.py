"""Database exceptions. Their messages contain no row values.

Driver errors are translated in `sqlite.py` and `postgres.py`.
"""


class WarehouseError(Exception):
    """A database error with its code and constraint, without row values and passwords."""


class WarehouseUnavailable(WarehouseError):
    """The server cannot be reached, or the connection was lost. The transaction was rolled back; a retry may help."""
