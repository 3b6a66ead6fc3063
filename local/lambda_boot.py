"""First lines of a function's process: tie its life to the engine's, then become the runtime client.

Run as `python -P lambda_boot.py HANDLER ENGINE_PID`. Imports nothing of the engine. Linux kills the process when the
engine dies, by SIGKILL too; elsewhere only an engine that ends in order ends its functions.
"""

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
runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
