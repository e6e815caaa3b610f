"""Runs lines of the real supervisorctl, each in a fork of this process: what costs most of its time, its start, is done
once. A question is a line of JSON {"args", "stdin", "dir"}, the answer one of {"Out", "Err", "Code"}."""
import json
import os
import signal
import sys
import tempfile

from supervisor import supervisorctl


def child(q, files):
    for fd, f in enumerate(files):
        os.dup2(f.fileno(), fd)
    sys.stdin, sys.stdout, sys.stderr = open(0, closefd=False), open(1, "w", closefd=False), open(2, "w", closefd=False)
    os.chdir(q["dir"])
    signal.alarm(60)
    sys.argv = ["supervisorctl"] + q["args"]
    code = 0
    try:
        supervisorctl.main()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    question = json.loads(line)
    files = [tempfile.TemporaryFile() for _ in range(3)]
    files[0].write(question["stdin"].encode())
    files[0].seek(0)
    pid = os.fork()
    if pid == 0:
        child(question, files)
    _, status = os.waitpid(pid, 0)
    for f in files:
        f.seek(0)
    print(json.dumps({"Out": files[1].read().decode(), "Err": files[2].read().decode(), "Code": os.waitstatus_to_exitcode(status)}), flush=True)
