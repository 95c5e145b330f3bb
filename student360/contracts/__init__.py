"""The registry of feeds: a module in this package that defines CONTRACT is a feed, nothing else to register.

Belongs here: finding the contracts. Does not belong here: what they say.
"""

import pkgutil
from functools import cache
from importlib import import_module

from student360.contracts.model import Column, Contract, Kind, LoadMode, Privacy, StagingColumn

__all__ = ["Column", "Contract", "StagingColumn", "Kind", "LoadMode", "Privacy", "contracts"]


@cache
def contracts() -> dict[str, Contract]:
    """All contracts by feed name, in alphabetical order."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = (module.CONTRACT for module in modules if hasattr(module, "CONTRACT"))
    return {contract.feed: contract for contract in sorted(found, key=lambda contract: contract.feed)}
