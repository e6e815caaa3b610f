"""Answers what Python and supervisor make of the cases on standard input.

Reads a JSON list of {"kind", "text", ...} and writes a JSON list of
{"value": ...} or {"error": "..."}, one for each. See oracle_test.go. With the
argument --lines it does so line by line, without the lists.
"""
import io
import json
import shlex
import signal
import sys
import warnings

warnings.simplefilter("ignore")
from supervisor import datatypes, options  # noqa: E402


def sections(parser):
    return [[s, [[k, parser.get(s, k)] for k in parser.options(s)]]
            for s in parser.sections()]


def parse(case):
    parser = options.UnhosedConfigParser()
    # newline=None: universal newlines, as in a file opened in text mode
    parser.read_file(io.StringIO(case["text"], newline=None))
    return sections(parser)


def load(case):
    """Lets supervisord read a file, and looks at the parser that it made."""
    made = []

    class Spy(options.UnhosedConfigParser):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    original, options.UnhosedConfigParser = options.UnhosedConfigParser, Spy
    try:
        server = options.ServerOptions()
        server.configfile = case["text"]
        server.here = case["here"]
        server.environ_expansions = {"ENV_" + k: v for k, v in case["environ"].items()}
        server.read_config(case["text"])
    finally:
        options.UnhosedConfigParser = original
    return sections(made[0])


def environment(case):
    """dict_of_key_value_pairs of supervisor 4.4-dev, whose lexer is POSIX."""
    lexer = shlex.shlex(case["text"], posix=True)
    lexer.wordchars += "/.+-():"
    tokens = list(lexer)
    result = {}
    for i in range(0, len(tokens), 4):
        group = tokens[i:i + 3]
        if len(group) != 3 or group[1] != "=":
            raise ValueError("Unexpected end of key/value pairs")
        result[group[0]] = group[2]
    return list(result.items())


def restart(case):
    value = datatypes.auto_restart(case["text"])
    if value is datatypes.RestartUnconditionally:
        return "true"
    if value is datatypes.RestartWhenExitUnexpected:
        return "unexpected"
    return "false"


def signal_name(case):
    number = datatypes.signal_number(case["text"])
    return [signal.Signals(number).name, int(number)]


KINDS = {
    "parse": parse,
    "load": load,
    "expand": lambda c: options.expand(c["text"], c["vars"], "test"),
    "split": lambda c: shlex.split(c["text"]),
    "environment": environment,
    "bool": lambda c: datatypes.boolean(c["text"]),
    "int": lambda c: datatypes.integer(c["text"]),
    "bytes": lambda c: datatypes.byte_size(c["text"]),
    "octal": lambda c: datatypes.octal_type(c["text"]),
    "signal": signal_name,
    "autorestart": restart,
    "exitcodes": lambda c: datatypes.list_of_exitcodes(c["text"]),
    "level": lambda c: datatypes.logging_level(c["text"]),
    "hostport": lambda c: list(datatypes.inet_address(c["text"])),
    "list": lambda c: datatypes.list_of_strings(c["text"]),
}


def answer(case):
    try:
        return {"value": KINDS[case["kind"]](case)}
    except Exception as error:  # an error is an answer
        return {"error": "%s: %s" % (type(error).__name__, error)}


def main():
    if "--lines" in sys.argv:
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), flush=True)
        return
    cases = json.load(sys.stdin)
    json.dump([answer(case) for case in cases], sys.stdout)


if __name__ == "__main__":
    main()
