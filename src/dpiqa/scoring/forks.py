"""Computing in a process that was forked from one in which PyTorch had computed before."""

from __future__ import annotations

import os
import threading

import torch

_forked = False
_of_thread = threading.local()  # a thread that is prepared has the attribute `is_prepared`


def _note_fork() -> None:
    global _forked, _of_thread
    _forked = True
    _of_thread = threading.local()  # the thread that forked may have been prepared as the child of another one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def prepare_after_fork(device: torch.device) -> None:
    """Makes it safe to compute here; call it before anything that PyTorch would do with several threads.

    The threads of PyTorch do not survive a fork, and the first computation in the child would wait for them for ever.
    With one thread there is nothing to wait for; the workers of PyTorch's own `DataLoader` have one as well. Every
    thread of the child has a number of its own.

    Args:
        device: Where the model runs.

    Raises:
        RuntimeError: When it is not the CPU: no other device can be used after a fork.
    """
    if not _forked or hasattr(_of_thread, "is_prepared"):
        return
    if device.type != "cpu":
        raise RuntimeError(
            f"A forked process cannot compute on {device.type}. Leave num_proc out: one process keeps it busy. "
            'Or call multiprocess.set_start_method("spawn") first, and make the Scorer inside the function.'
        )
    torch.set_num_threads(1)
    _of_thread.is_prepared = True
