"""What can go wrong with a database, said without the values of any row.

Belongs here: the exceptions. Does not belong here: which driver's error becomes which (`sqlite.py`, `postgres.py`).
"""


class WarehouseError(Exception):
    """A database error with its code and constraint, without the values of any row and without a password."""


class WarehouseUnavailable(WarehouseError):
    """The server cannot be reached, or went away: nothing of the unit of work was kept, trying again may help."""
