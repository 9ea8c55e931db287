"""When a failed transaction is repeated, how often, and until when."""

from __future__ import annotations

import random
import time

from ._failures import Failure

__all__ = ["Retries"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class Retries:
    """Decides about the retries of one operation.

    Args:
        timeout: Seconds in which contention and outages are retried; ``None`` where nothing can be
            repeated, because the transaction is the host's.
    """

    def __init__(self, timeout: float | None) -> None:
        self._ends_at = None if timeout is None else time.monotonic() + timeout
        self._pause = _FIRST_PAUSE
        self._failures: list[Failure] = []

    @property
    def tries(self) -> int:
        """The number of tries that failed."""
        return len(self._failures)

    def record(self, failure: Failure) -> None:
        """Note that a try failed.

        Args:
            failure: What kind of failure it was.
        """
        self._failures.append(failure)

    def may_try_again(self) -> bool:
        """Return whether another try may begin after the latest failure."""
        failure = self._failures[-1]
        if self._ends_at is None or failure is Failure.PERMANENT:
            return False
        if failure in (Failure.ONCE, Failure.UNKNOWN):
            return self._failures.count(failure) == 1
        if time.monotonic() < self._ends_at:
            return True
        # A COMMIT that hung beyond the timeout and then broke may have committed: look once.
        return failure is Failure.OUTAGE and self.tries == 1

    def wait(self) -> None:
        """Sleep for a random time, longer from try to try, so that transactions that collided part."""
        time.sleep(random.uniform(0, self._pause))  # noqa: S311  # jitter, no secret
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
