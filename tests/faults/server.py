"""Command lines in processes of their own that need not import everything again: ``python -m tests.faults.server``.

Takes a request a line on stdin, JSON: ``argv``, ``out`` (a folder for what is told), ``code`` (run in the new process
first: limits, mounts, missing handles), ``seconds``; answers with the exit code, or null where it had to be killed.
"""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from tests.faults.kills import finish, warm


def serve() -> int:
    """Fork a process for each request, which leaves this function with its exit code."""
    warm()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    answers.write("ready\n")
    for line in sys.stdin:
        request = json.loads(line)
        number = os.fork()
        if not number:
            answers.close()
            return _work(request)
        code = finish(number, request["seconds"])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(number, signal.SIGKILL)
        if code is None:
            os.waitpid(number, 0)
        answers.write(json.dumps(code) + "\n")
    return 0


def _work(request: dict) -> int:
    from pointvae import cli
    from pointvae.command import run

    os.setsid()
    for name, number, flags in (("err", 2, os.O_WRONLY), ("out", 1, os.O_WRONLY), ("in", 0, os.O_RDONLY)):
        path = os.devnull if name == "in" else str(Path(request["out"]) / name)
        handle = os.open(path, flags | os.O_CREAT)
        os.dup2(handle, number)
        os.close(handle)
    exec(request["code"], {"__name__": "fault"})
    return run(cli.VERBS, request["argv"])


if __name__ == "__main__":
    sys.exit(serve())
