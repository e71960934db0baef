"""Which calls of a model are too short to give up Python's lock for.

Switching between Python threads takes longer than such a call, so that it is faster to run the
calls one after another. Knows no runtime.
"""

import math

# A call is short if it takes fewer nanoseconds. A verdict takes TIMED calls. With static shapes all
# but the slowest quarter must be short. With dynamic shapes a size is short if a quarter of the
# calls, of this size or the next smaller ones, all are.
SHORT, TIMED = 50_000, 16


class CallTimes:
    """The times of a model's calls by the size of their inputs.

    Parameters
    ----------
    steady : bool
        Whether all calls do the same amount of work, as with static shapes. If so, one verdict is
        final. If not, sizes above the verdict are timed further.
    settled : bool
        Whether no call counts as short, since sizes that data decide say how long it takes.
    """

    def __init__(self, steady: bool, settled: bool = False) -> None:
        self.steady = steady
        # Calls with so many input elements or fewer are short; infinite if all are.
        self.short_up_to: float = 0
        self.settled = settled
        self._times: list[tuple[int, int]] = []

    def note(self, size: int, nanoseconds: int) -> None:
        """Take the time of one call. Not to be called by two threads at once."""
        if self.settled:
            return
        self._times.append((size, nanoseconds))
        if len(self._times) < TIMED:
            return
        # Of the calls of one size the longest come first.
        times, self._times = sorted(self._times, key=lambda each: (each[0], -each[1])), []
        if self.steady:
            self.settled = True
            short = sorted(took for _, took in times)[TIMED * 3 // 4 - 1] < SHORT
            self.short_up_to = math.inf if short else 0
            return
        window = TIMED // 4
        for end in range(window, TIMED + 1):
            if any(took >= SHORT for _, took in times[end - window : end]):
                return
            self.short_up_to = max(self.short_up_to, times[end - 1][0])
