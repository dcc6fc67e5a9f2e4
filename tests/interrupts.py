"""A stop at any line of some functions: as Ctrl-C makes it, or as a kill does."""

import os
import sys
from collections.abc import Callable, Iterable


class _Stop(KeyboardInterrupt):
    pass


def at(
    number: int, within: Iterable[Callable], act: Callable[[], object], kill: bool = False
) -> bool:
    """Do something, but stop at the so-manieth line of some functions; whether it came there."""
    code = {(sys.modules[each.__module__].__file__, each.__name__) for each in within}
    seen = 0

    def trace(frame, event, _):
        nonlocal seen
        if (frame.f_code.co_filename, frame.f_code.co_name) not in code:
            return None
        if event == "line":
            seen += 1
            if seen == number:
                sys.settrace(None)
                if kill:
                    os._exit(9)
                raise _Stop
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except _Stop:
        return True
    finally:
        sys.settrace(before)
    return False


def killed(number: int, within: Iterable[Callable], act: Callable[[], object]) -> bool:
    """The same in a process of its own, which ends there without another line."""
    child = os.fork()
    if child == 0:
        try:
            at(number, within, act, kill=True)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
