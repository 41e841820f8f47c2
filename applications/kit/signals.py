"""A clean stop of a training."""

import signal
from types import FrameType


class StopSignals:
    """Within the block Ctrl-C and SIGTERM only set `requested`; a second Ctrl-C interrupts."""

    requested = False

    def __enter__(self) -> "StopSignals":
        self._before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
