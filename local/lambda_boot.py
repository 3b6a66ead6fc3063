"""First lines of a function's process: tie its life to the engine's, let its log lose lines where the disk is full,
then become the runtime client.

Run as `python -P lambda_boot.py HANDLER ENGINE_PID`. Imports nothing of the engine. Linux kills the process when the
engine dies, by SIGKILL too; elsewhere only an engine that ends in order ends its functions.
"""

import errno
import io
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h

if sys.platform == "linux":
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv.pop()):
    sys.exit("the engine is gone")


class _Log(io.FileIO):
    """Loses what the disk has no space for, as Lambda never lets a log end a function."""

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            return len(data)


sys.stdout, sys.stderr = (
    io.TextIOWrapper(io.BufferedWriter(_Log(descriptor, "wb")), line_buffering=True, errors="backslashreplace")
    for descriptor in (1, 2)
)
runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
