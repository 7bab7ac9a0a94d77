#!/usr/bin/env python3
"""Runs the official MCP conformance suite and compares its results.

    run.py direct --out DIR [--upstream PROGRAM]
        Starts the fixture server over HTTP and runs the suite against it:
        what a client gets without the gateway.
    run.py through --url URL --out DIR [--token-env NAME]
        Runs the suite against a running gateway.  URL must name localhost.
        The agent key is read from the environment variable NAME.
    run.py compare DIRECT PROXIED --exceptions FILE
        Compares two such results check by check, and ends with 1 when a check
        is worse through the gateway and FILE does not name it, or when FILE
        names one that is not worse.  FILE holds a JSON list of
        {"revision", "scenario", "check", "reason"}; those that also say
        {"bridged": "legacy"} (or "modern") are for a server that speaks
        nothing else, and count with --bridged legacy alone.

direct and through take --only SCENARIO, --revision REVISION and --core (no
extensions) to run less.
They end with 0 once the suite has run, whatever its checks said.
"""

import argparse
import collections
import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from urllib.parse import urlsplit

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = os.path.join(HERE, "..", "clients")
UPSTREAM = os.path.join(HERE, "..", "..", "target", "fixture", "debug", "conformance-upstream")
SUITE = os.path.join(CLIENTS, "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
REVISIONS = ["2025-11-25", "2026-07-28"]
# From best to worst.
RANK = {s: n for n, s in enumerate(["SUCCESS", "INFO", "SKIPPED", "WARNING", "FAILURE", "ABSENT"])}


def node():
    """The Node that comes with the clients; the suite needs 22 or newer."""
    bundled = os.path.join(CLIENTS, "node_modules", ".bin", "node")
    return bundled if os.path.exists(bundled) else "node"


@contextlib.contextmanager
def server(command, ready, env=None, stream="stdout"):
    """Starts a program, and yields what `ready` finds in its first line."""
    child = subprocess.Popen(command, env=env, text=True, **{stream: subprocess.PIPE})
    patience = threading.Timer(20, child.kill)
    patience.start()
    try:
        line = getattr(child, stream).readline()
        patience.cancel()
        found = re.search(ready, line)
        if not found:
            sys.exit(f"{command[0]} did not start: {line.strip()}")
        yield found.group(1)
    finally:
        patience.cancel()
        child.terminate()
        child.wait(10)


def run_suite(url, args):
    """Runs the suite once per revision; results go to OUT/REVISION."""
    if not os.path.exists(SUITE):
        sys.exit("the conformance suite is not installed; run tests/setup.sh")
    for revision in args.revision or REVISIONS:
        out = os.path.join(args.out, revision)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(args.out, exist_ok=True)
        command = [node(), SUITE, "server", "--url", url, "--timeout", "20000", "-o", out]
        if args.only:
            command += ["--scenario", args.only, "--spec-version", revision]
        elif args.core:
            command += ["--suite", "all", "--spec-version", revision]
        else:
            command += ["--requirements", revision]
        with open(out + ".log", "w") as log:
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=args.limit)
        results = load(out)
        counts = collections.Counter(status for status, _ in every_check(out))
        print(f"{revision}: {dict(counts)}, {len(results)} different checks, log in {out}.log")
        if not results:
            sys.exit(f"no results for {revision}")


def every_check(tree):
    """All checks of one result tree, as (status, (scenario, id, message))."""
    for path in sorted(glob.glob(os.path.join(tree, "*", "checks.json"))):
        directory = os.path.basename(os.path.dirname(path))
        scenario = re.sub(r"-\d{4}-\d\d-\d\dT[^/]*$", "", directory).removeprefix("server-")
        with open(path) as file:
            for check in json.load(file):
                yield check["status"], (scenario, check["id"], check.get("errorMessage") or "")


def load(tree):
    """The worst status, and its message, of each (scenario, check)."""
    worst = {}
    for status, (scenario, check, message) in every_check(tree):
        key = scenario, check
        if key not in worst or RANK[status] > RANK[worst[key][0]]:
            worst[key] = status, message
    return worst


def is_worse(direct, proxied):
    if direct == "ABSENT":  # said only through the gateway: good news is no loss
        return RANK[proxied] > RANK["INFO"]
    if direct == "INFO" and proxied == "ABSENT":  # a remark that was not made
        return False
    return RANK[proxied] > RANK[direct]


def compare(args):
    with open(args.exceptions) as file:
        listed = json.load(file)
    revisions = args.revision or REVISIONS
    listed = [e for e in listed if e.get("bridged") == args.bridged and e["revision"] in revisions]
    reasons = {(e["revision"], e["scenario"], e["check"]): e["reason"] for e in listed}
    used, bad = set(), 0
    for revision in revisions:
        direct, proxied = load(os.path.join(args.direct, revision)), load(os.path.join(args.proxied, revision))
        if not direct or not proxied:
            sys.exit(f"no results for {revision} in {args.proxied if direct else args.direct}")
        for scenario, check in sorted(direct.keys() | proxied.keys()):
            (before, _), (after, message) = (t.get((scenario, check), ("ABSENT", "")) for t in (direct, proxied))
            if before == after:
                continue
            key = revision, scenario, check
            if not is_worse(before, after):
                verdict = "other "
            elif key in reasons:
                verdict, message = "listed", reasons[key]
                used.add(key)
            else:
                verdict, bad = "WORSE ", bad + 1
            print(f"{verdict} {revision} {scenario} / {check}: {before} -> {after}  {message[:240]}")
        print(f"{revision}: {len(direct)} checks direct, {len(proxied)} through the gateway")
    stale = [key for key in reasons if key not in used]
    for key in stale:
        print("STALE ", *key, "is not worse; remove it from the exceptions")
    print(f"{bad} worse, {len(used)} listed exceptions, {len(stale)} stale")
    sys.exit(1 if bad or stale else 0)


def direct(args):
    command = [args.upstream, "http", "--addr", "127.0.0.1:0"]
    with server(command, r"127\.0\.0\.1:(\d+)", stream="stderr") as port:
        run_suite(f"http://localhost:{port}/mcp", args)


def through(args):
    if not args.token_env:
        return run_suite(args.url, args)
    env = dict(os.environ, ADD_HEADER=f"Authorization: Bearer {os.environ[args.token_env]}")
    command = [node(), os.path.join(HERE, "add-header.mjs"), "0", args.url]
    with server(command, r"^(\d+)$", env=env) as port:
        run_suite(f"http://localhost:{port}{urlsplit(args.url).path}", args)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    for name, action in [("direct", direct), ("through", through), ("compare", compare)]:
        sub = actions.add_parser(name)
        sub.set_defaults(action=action)
        sub.add_argument("--revision", action="append", choices=REVISIONS)
        if action is compare:
            sub.add_argument("direct")
            sub.add_argument("proxied")
            sub.add_argument("--bridged", choices=["legacy", "modern"])
            sub.add_argument("--exceptions", default=os.path.join(HERE, "exceptions.json"))
            continue
        sub.add_argument("--out", required=True)
        sub.add_argument("--only", metavar="SCENARIO")
        sub.add_argument("--core", action="store_true", help="leave extensions out")
        sub.add_argument("--limit", type=float, default=900, help="seconds that one revision may take")
        if action is direct:
            sub.add_argument("--upstream", default=UPSTREAM)
        else:
            sub.add_argument("--url", required=True)
            sub.add_argument("--token-env", metavar="NAME")
    args = parser.parse_args()
    args.action(args)


if __name__ == "__main__":
    main()
