"""Registry of feeds: every module of this package that defines CONTRACT is a feed. No other registration is needed."""

import pkgutil
from functools import cache
from importlib import import_module

from student360.contracts.model import Column, Contract, Kind, LoadMode, Privacy, StagingColumn

__all__ = ["Column", "Contract", "StagingColumn", "Kind", "LoadMode", "Privacy", "contracts"]


@cache
def contracts() -> dict[str, Contract]:
    """Return all contracts by feed name, in alphabetical order."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = (module.CONTRACT for module in modules if hasattr(module, "CONTRACT"))
    return {contract.feed: contract for contract in sorted(found, key=lambda contract: contract.feed)}
