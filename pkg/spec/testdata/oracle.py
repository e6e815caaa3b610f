"""Answers what supervisor makes of the [program:x] sections on standard input.

Reads a JSON list of {"text", "here", "host", "environ"} and writes a JSON list of
{"value": [process, ...], "warnings": [...]} or {"error": "..."}, one for each. See oracle_test.go.
"""
import io
import json
import platform
import signal
import sys
import warnings

warnings.simplefilter("ignore")
from supervisor import datatypes, options  # noqa: E402

RESTART = {
    datatypes.RestartUnconditionally: "true",
    datatypes.RestartWhenExitUnexpected: "unexpected",
}


def log(name):
    if name is datatypes.Automatic:
        return "AUTO"
    return "NONE" if name is None else name


def process(group, c):
    return {
        "group": group.config_name if hasattr(group, "config_name") else group.name,
        "name": c.name, "group_priority": group.priority, "command": c.command,
        "directory": c.directory or "", "umask": -1 if c.umask is None else c.umask,
        "priority": c.priority, "autostart": c.autostart,
        "autorestart": RESTART.get(c.autorestart, "false"),
        "startsecs": c.startsecs, "startretries": c.startretries,
        "stopsignal": signal.Signals(c.stopsignal).name[3:], "stopwaitsecs": c.stopwaitsecs,
        "stopasgroup": bool(c.stopasgroup), "killasgroup": bool(c.killasgroup),
        "exitcodes": sorted(set(c.exitcodes)), "redirect_stderr": c.redirect_stderr,
        "uid": -1 if c.uid is None else c.uid, "environment": dict(c.environment),
        "stdout": [log(c.stdout_logfile), c.stdout_logfile_maxbytes, c.stdout_logfile_backups,
                   c.stdout_syslog],
        "stderr": [log(c.stderr_logfile), c.stderr_logfile_maxbytes, c.stderr_logfile_backups,
                   c.stderr_syslog],
    }


def answer(case):
    platform.node = lambda: case["host"]
    try:
        parser = options.UnhosedConfigParser()
        parser.read_file(io.StringIO(case["text"]))
        environ = {"ENV_" + k: v for k, v in case["environ"].items()}
        parser.expansions = dict(environ)
        server = options.ServerOptions()
        server.here, server.configfile, server.environ_expansions = case["here"], "x.ini", environ
        groups = server.process_groups_from_parser(parser)
        return {"value": [process(g, c) for g in groups for c in g.process_configs],
                "warnings": server.parse_warnings}
    except Exception as error:  # an error is an answer
        return {"error": "%s: %s" % (type(error).__name__, error)}


def main():
    json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
