"""Running coroutines in tests, whatever loop the thread at hand may have: a browser test leaves one running in it."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections

Given = TypeVar("Given")


def run_async(coroutine: Coroutine[Any, Any, Given]) -> Given:
    """What it gives, from a loop in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_run, coroutine).result()


def _run(coroutine: Coroutine[Any, Any, Given]) -> Given:
    try:
        return asyncio.run(coroutine)
    finally:
        connections.close_all()
