"""What a slow question answered, kept for some seconds."""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Lately(Generic[T]):
    """Whoever asks while an answer is being found waits for that one; what goes wrong is not kept."""

    def __init__(self, ask: Callable[[], T], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = Lock()
        self._answer: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._answer is None or monotonic() > self._answer[0] + self._seconds:
                self._answer = (monotonic(), self._ask())
            return self._answer[1]

    def forget(self) -> None:
        with self._lock:
            self._answer = None
