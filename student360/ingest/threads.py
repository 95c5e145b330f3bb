"""Work of one file in threads: Arrow and numpy let go of Python's lock for most of theirs.

Belongs here: doing a step of the way ahead of time, with as much in memory as is told. Does not belong here: the steps.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(items: Iterator[Item], how_many: int = 1) -> Generator[Item]:
    """The same items, some of them made in a thread while those before are used: one is parsed, another stored."""
    end = object()
    with ThreadPoolExecutor(max_workers=1) as worker:
        coming = deque(worker.submit(next, items, end) for _ in range(how_many))
        while (item := coming.popleft().result()) is not end:
            coming.append(worker.submit(next, items, end))
            yield cast(Item, item)


def in_order(function: Callable[[Item], Result], items: Iterator[Item], at_once: int) -> Generator[Result]:
    """What a function makes of each item, in their order, some of them at once."""
    with ThreadPoolExecutor(at_once) as workers:
        coming: deque[Future[Result]] = deque()
        for item in items:
            coming.append(workers.submit(function, item))
            if len(coming) == at_once:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
