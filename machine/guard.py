"""The guard kills its process group when the process that started it ends, however that ends.

Run by path, as the leader of the group that all children of a stack join. A death signal
(PR_SET_PDEATHSIG) would not do: it follows the starting *thread*, and misses grandchildren.
"""

import os
import select
import signal
import sys

if __name__ == "__main__":
    # Only the supervisor's death or its SIGKILL ends the guard.
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    parent = int(sys.argv[1])
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        os.killpg(0, signal.SIGKILL)
    if os.getppid() == parent:  # else the parent died before, and another process has its id
        select.select([descriptor], [], [])
    os.killpg(0, signal.SIGKILL)
