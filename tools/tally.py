#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tally.py FOLDER [--suite S]... [--no-suite S]... - what a 'meson test' run in FOLDER came to.

Prints one line "passed failed skipped" for the caller to add up, and on stderr every test that
failed or was skipped. A test that is listed and has no result counts as failed: a run that ended
early must not look green. So does a test of the ring that was skipped where a ring can be had.
"""
import ctypes
import json
import os
import sys


def ring_can_be_had():
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(120)  # struct io_uring_params
    fd = libc.syscall(425, 4, params)  # io_uring_setup
    if fd < 0:
        return False
    os.close(fd)
    return True


def listed(folder, wanted, unwanted):
    names = []
    with open(os.path.join(folder, "meson-info", "intro-tests.json")) as f:
        for test in json.load(f):
            suites = {s.split(":")[-1] for s in test["suite"]}
            if wanted and not suites & wanted or suites & unwanted:
                continue
            names.append((test["name"], suites))
    return names


def main(argv):
    folder, wanted, unwanted = argv[0], set(), set()
    for flag, value in zip(argv[1::2], argv[2::2]):
        (wanted if flag == "--suite" else unwanted).add(value)
    results = {}
    try:
        with open(os.path.join(folder, "meson-logs", "testlog.json")) as f:
            for line in f:
                r = json.loads(line)
                results[r["name"].split(" / ")[-1]] = r["result"]
    except OSError as e:
        print(f"tally: {e}", file=sys.stderr)
    passed = failed = skipped = 0
    for name, suites in listed(folder, wanted, unwanted):
        result = results.get(name, "NO RESULT")
        ring = "ring" in name or "ring" in suites
        if result in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif result == "SKIP" and not (ring and ring_can_be_had()):
            skipped += 1
            print(f"tally: skipped: {name}", file=sys.stderr)
        else:
            failed += 1
            print(f"tally: {result}: {name}", file=sys.stderr)
    print(passed, failed, skipped)


if __name__ == "__main__":
    main(sys.argv[1:])
