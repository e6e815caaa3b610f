"""Answers, line by line, what supervisor makes of whole configuration files.

Reads one JSON object {"path", "environ", "host", "strict"} a line and writes one a line: {"groups": [...],
"servers": [...], "daemon": {...}} or {"refused": "..."}. Unless strict, users, groups and directories are taken to exist, as
distsuper takes them to be on another machine than the one that reads the file; users then keep their names.
"""
import json
import os
import platform
import signal
import socket
import sys
import warnings

warnings.simplefilter("ignore")
from supervisor import datatypes, options  # noqa: E402

RESTART = {
    datatypes.RestartUnconditionally: "true",
    datatypes.RestartWhenExitUnexpected: "unexpected",
}
REAL = (os.path.isdir, options.name_to_uid, options.gid_for_uid, options.colon_separated_user_group)


def pretend(strict):
    """Puts the checks of this host in force, or out of it."""
    isdir, uid, gid, owner = REAL
    if not strict:
        isdir, uid = (lambda path: True), (lambda name: name)
        gid, owner = (lambda user: "its group"), (lambda text: text)
    os.path.isdir = isdir
    options.name_to_uid, options.gid_for_uid, options.colon_separated_user_group = uid, gid, owner


def log(config, channel):
    name = getattr(config, channel + "_logfile")
    if name is datatypes.Automatic:
        name = "AUTO"
    return {
        "file": "NONE" if name is None else name,
        "maxbytes": getattr(config, channel + "_logfile_maxbytes"),
        "backups": getattr(config, channel + "_logfile_backups"),
        "syslog": getattr(config, channel + "_syslog"),
    }


def text(value):
    """A value that may be None, which is not the same as one that is empty."""
    if value is None:
        return ""
    return "<empty>" if value == "" else str(value)


def process(c):
    return {
        "name": c.name, "command": c.command, "directory": text(c.directory),
        "umask": "" if c.umask is None else oct(c.umask), "priority": c.priority,
        "autostart": c.autostart, "autorestart": RESTART.get(c.autorestart, "false"),
        "startsecs": c.startsecs, "startretries": c.startretries,
        "stopsignal": signal.Signals(c.stopsignal).name[3:] if c.stopsignal else "0", "stopwaitsecs": c.stopwaitsecs,
        "stopasgroup": bool(c.stopasgroup), "killasgroup": bool(c.killasgroup),
        "exitcodes": sorted(set(c.exitcodes)), "redirect_stderr": c.redirect_stderr,
        "user": text(c.uid), "environment": dict(c.environment),
        "stdout": log(c, "stdout"), "stderr": log(c, "stderr"), "serverurl": c.serverurl or "",
    }


def owned(owner):
    if owner is None or owner == (-1, -1):
        return ""
    return owner if isinstance(owner, str) else ":".join(map(str, owner))


def group(g):
    kind, more = "program", {}
    if isinstance(g, options.EventListenerPoolConfig):
        from supervisor.events import EventTypes
        names = {v: k for k, v in vars(EventTypes).items() if k.isupper()}
        kind = "eventlistener"
        more = {"events": sorted(names[e] for e in g.pool_events), "buffer_size": g.buffer_size}
    elif isinstance(g, options.FastCGIGroupConfig):
        kind, s = "fcgi-program", g.socket_config
        more = {"socket": s.url, "backlog": s.get_backlog() or 0}
        if s.url.startswith("unix:"):
            more.update(owner=owned(s.get_owner()), mode=s.get_mode())
    return dict(more, kind=kind, name=g.name, priority=g.priority,
                processes=[process(c) for c in g.process_configs])


def server(s):
    out = {"section": s["section"], "username": s["username"] or "", "password": s["password"] or ""}
    if s["family"] == socket.AF_UNIX:
        out.update(file=s["file"], mode=s["chmod"], owner=owned(s["chown"]))
    else:
        out.update(host=s["host"], port=s["port"])
    return out


def daemon(s):
    plain = ("logfile", "logfile_maxbytes", "logfile_backups", "loglevel", "pidfile", "umask", "nodaemon", "silent",
             "minfds", "minprocs", "nocleanup", "childlogdir", "strip_ansi", "identifier")
    return dict({key: getattr(s, key) for key in plain}, user=text(s.user), directory=text(s.directory))


def answer(question):
    platform.node = lambda: question["host"]
    pretend(question.get("strict", False))
    try:
        server_options = options.ServerOptions()
        server_options.configfile = question["path"]
        server_options.here = os.path.dirname(question["path"])
        server_options.environ_expansions = {"ENV_" + k: v for k, v in question["environ"].items()}
        section = server_options.read_config(question["path"])
    except Exception as error:  # a refusal is an answer
        return {"refused": "%s: %s" % (type(error).__name__, error)}
    finally:
        pretend(True)
    # An exception from here on would be this program's own fault, and no refusal.
    return {
        "daemon": daemon(section),
        "groups": [group(g) for g in section.process_group_configs if g.process_configs],
        "servers": [server(s) for s in section.server_configs],
    }


def main():
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
