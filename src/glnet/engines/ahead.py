"""Making the next item while one is used: reading ahead, and computing ahead of what is written."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The same items, none of them None; the following one is made in a thread meanwhile.

    Close it when no more are wanted: closing waits for the thread.
    """
    with ThreadPoolExecutor(max_workers=1) as worker:
        following = worker.submit(next, items, None)
        while (item := following.result()) is not None:
            following = worker.submit(next, items, None)
            yield item
