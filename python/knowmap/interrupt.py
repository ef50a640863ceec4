"""Ctrl-C in the command: heard at once, wherever the engine is."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HEARD = "\nknowmap: stopping; Ctrl-C again ends it on the spot (what was committed is kept either way)\n"


@contextmanager
def heard_at_once(exit_code: int) -> Iterator[None]:
    """Says that Ctrl-C was heard while the engine still drops the batch in hand; a second one ends the process.

    Python's own handler, which raises KeyboardInterrupt, runs between two of Python's instructions, and the engine lets
    it run every 50 ms, but for calls into other libraries. The interpreter also notes each signal in a pipe
    (`signal.set_wakeup_fd`): a thread reads that, and waits for neither.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can signals be asked for
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    previous = signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def listen() -> None:
        times = 0
        while signals := os.read(heard, 1):
            if signals[0] == signal.SIGINT:
                times += 1
                if times > 1:
                    os._exit(exit_code)
                sys.stderr.write(_HEARD)
                sys.stderr.flush()

    listener = threading.Thread(target=listen, name="knowmap-interrupt", daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(told)
        listener.join()
        os.close(heard)
