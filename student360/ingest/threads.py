"""Pipelining the steps of one file in threads: Arrow and numpy release the GIL during most of their work."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(items: Iterator[Item], how_many: int = 1) -> Generator[Item]:
    """Yield the items of an iterator while a thread computes up to `how_many` items ahead.

    For example, one chunk is parsed while the previous one is stored.
    """
    end = object()
    with ThreadPoolExecutor(max_workers=1) as worker:
        pending = deque(worker.submit(next, items, end) for _ in range(how_many))
        while (item := pending.popleft().result()) is not end:
            pending.append(worker.submit(next, items, end))
            yield cast(Item, item)


def in_order(function: Callable[[Item], Result], items: Iterator[Item], at_once: int) -> Generator[Result]:
    """Yield the results of a function for each item, in the order of the items, computing `at_once` in parallel."""
    with ThreadPoolExecutor(at_once) as workers:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(workers.submit(function, item))
            if len(pending) == at_once:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
