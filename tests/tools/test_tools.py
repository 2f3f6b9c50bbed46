#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tools that guard the tree are guarded too: each fault, planted in a small tree or a made-up
run, must be found, and the same tree without the fault must pass."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
SPDX = "// SPDX-License-Identifier: MIT\n"

GOOD = {
    "base/word.h": SPDX + """#pragma once
#include "base/atomic.h"
static inline void give(atomic_u32 *w)
{
    // [W-GIVE] release, pairs with [W-TAKE]: what stands before is seen.
    store_release(w, 1);
}
static inline int take(atomic_u32 *w)
{
    return load_acquire(w); // [W-TAKE] acquire, pairs with [W-GIVE]
}
""",
    "base/atomic.h": SPDX,
    "sched/park.h": SPDX + '#include "base/word.h"\n',
    "sched/runq.h": SPDX,
    "sched/runq.c": SPDX + '#include "sched/runq.h"\n\n#include <errno.h>\n',
    "sync/chan.c": SPDX + '#include "sched/park.h"\n',
}


def tidy(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        r = subprocess.run([sys.executable, os.path.join(TOOLS, "tidy.py"), "--no-page",
                            "--root", root], capture_output=True, text=True)
        return r.returncode, r.stdout + r.stderr


class Tidy(unittest.TestCase):
    def finds(self, sentence, path, change):
        files = dict(GOOD)
        files[path] = change(files.get(path, SPDX))
        code, said = tidy(files)
        self.assertIn(sentence, said)
        self.assertEqual(code, 1, said)

    def test_a_good_tree_passes(self):
        code, said = tidy(GOOD)
        self.assertEqual(code, 0, said)

    def test_an_arrow_upward(self):
        self.finds("base may not include sched/park.h", "base/list.h",
                   lambda s: s + '#include "sched/park.h"\n')

    def test_a_header_that_is_not_the_face(self):
        self.finds("sync may not include sched/runq.h", "sync/chan.c",
                   lambda s: s + '#include "sched/runq.h"\n')

    def test_brothers(self):
        self.finds("sync may not include io/fd.h", "sync/chan.c",
                   lambda s: s + '#include "io/fd.h"\n')

    def test_an_internal_header_in_a_public_one(self):
        self.finds("include may not include base/word.h", "include/coir/chan.h",
                   lambda s: s + '#include "base/word.h"\n')

    def test_a_circle(self):
        self.finds("a circle of includes", "base/atomic.h",
                   lambda s: s + '#include "base/word.h"\n')

    def test_the_own_header_is_not_first(self):
        self.finds("comes first", "sched/runq.c",
                   lambda s: SPDX + '#include <errno.h>\n#include "sched/runq.h"\n')

    def test_liburing_outside_the_seam(self):
        self.finds("belongs into base/platform_*.c", "netpoll/uring.c",
                   lambda s: s + "#include <liburing.h>\n")

    def test_an_access_without_a_label(self):
        self.finds("has no [LABEL]", "base/word.h",
                   lambda s: s + "static inline void f(atomic_u32 *w)\n{\n"
                                 "    store_release(w, 2);\n}\n")

    def test_a_comment_that_names_another_order(self):
        self.finds("says acquire, the verb says release", "base/word.h",
                   lambda s: s.replace("[W-GIVE] release", "[W-GIVE] acquire"))

    def test_a_partner_that_is_nowhere(self):
        self.finds("pairs with [W-NONE], which is nowhere", "base/word.h",
                   lambda s: s.replace("pairs with [W-GIVE]", "pairs with [W-NONE]"))

    def test_a_label_without_a_partner(self):
        self.finds("names no partner", "base/word.h",
                   lambda s: s.replace(", pairs with [W-GIVE]", ""))

    def test_no_partner_with_a_reason_passes(self):
        files = dict(GOOD)
        files["base/word.h"] += ("static inline void f(atomic_u32 *w)\n{\n    // [W-LONE] release, "
                                 "no partner: only the kernel reads it.\n"
                                 "    store_release(w, 2);\n}\n")
        code, said = tidy(files)
        self.assertEqual(code, 0, said)

    def test_a_relaxed_access_without_a_reason(self):
        self.finds("a relaxed access without its reason", "base/word.h",
                   lambda s: s + "static inline int f(atomic_u32 *w)\n{\n"
                                 "    return load_relaxed(w);\n}\n")

    def test_a_page_that_tells_of_a_label_that_is_gone(self):
        self.finds("[W-GONE] is nowhere", "docs/wakeup.md", lambda s: "then [W-GONE] comes\n")

    def test_a_guard_that_is_gone(self):
        row = "| x | y | "
        files = {**GOOD, "tests/t.c": SPDX + "void a_test(void);\n", "tests/meson.build": "'fault_' + 'io'\n",
                 "tests/model/mutants/7-a.sed": "", "tests/model/mutants/b_c.sed": "",
                 "docs/regressions.md": row + "t: a_test, fault_io; mutants 7 and b_c; mutants b_* |\n"}
        code, said = tidy(files)
        self.assertEqual(code, 0, said)
        for cell, sentence in (("another_test", "another_test is nowhere"), ("mutant 8", "no mutant 8"),
                               ("mutants 7, c_d", "no mutant c_d")):
            files["docs/regressions.md"] = row + cell + " |\n"
            code, said = tidy(files)
            self.assertIn(sentence, said)
            self.assertEqual(code, 1, said)

    def test_a_mutant_that_changes_nothing(self):
        self.finds("no longer changes sched/runq.c", "tests/model/mutants/1-a.sed",
                   lambda s: "# file: sched/runq.c\ns/never there/x/\n")
        code, said = tidy({**GOOD, "tests/model/mutants/1-a.sed": "# file: sched/runq.c\ns/errno/limits/\n"})
        self.assertEqual(code, 0, said)

    def test_texts(self):
        self.finds("the SPDX line is missing", "base/a.h", lambda s: "int a;\n")
        self.finds("101 columns", "base/a.h", lambda s: s + "/" * 101 + "\n")
        self.finds("not ASCII", "base/a.h", lambda s: s + "// caf\u00e9\n")
        self.finds("unfinished", "base/a.h", lambda s: s + "// TO" + "DO: later\n")


def tally(tests, results, *filters):
    with tempfile.TemporaryDirectory() as d:
        os.makedirs(os.path.join(d, "meson-info"))
        os.makedirs(os.path.join(d, "meson-logs"))
        with open(os.path.join(d, "meson-info", "intro-tests.json"), "w") as f:
            json.dump([{"name": n, "suite": ["coir:" + s]} for n, s in tests], f)
        with open(os.path.join(d, "meson-logs", "testlog.json"), "w") as f:
            for n, r in results:
                f.write(json.dumps({"name": "coir:x / " + n, "result": r}) + "\n")
        r = subprocess.run([sys.executable, os.path.join(TOOLS, "tally.py"), d, *filters],
                           capture_output=True, text=True)
        return r.stdout.strip()


class Tally(unittest.TestCase):
    def test_it_counts(self):
        self.assertEqual(tally([("a", "unit"), ("b", "io"), ("c", "io")],
                               [("a", "OK"), ("b", "FAIL"), ("c", "SKIP")]), "1 1 1")

    def test_a_listed_test_without_a_result_failed(self):
        self.assertEqual(tally([("a", "unit"), ("b", "io")], [("a", "OK")]), "1 1 0")

    def test_a_time_out_failed(self):
        self.assertEqual(tally([("a", "unit")], [("a", "TIMEOUT")]), "0 1 0")

    def test_filters_are_meson_s(self):
        tests, results = [("a", "unit"), ("b", "stress")], [("a", "OK")]
        self.assertEqual(tally(tests, results, "--no-suite", "stress"), "1 0 0")
        self.assertEqual(tally(tests, results, "--suite", "unit"), "1 0 0")


class Never(unittest.TestCase):
    """A library that would touch what is its host's."""

    def look(self, source):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "a.c")
            with open(path, "w") as f:
                f.write(source)
            obj, lib = os.path.join(d, "a.c.o"), os.path.join(d, "a.a")
            subprocess.run(["cc", "-w", "-c", path, "-o", obj], check=True)
            subprocess.run(["ar", "rcs", lib, obj], check=True)
            r = subprocess.run([sys.executable, os.path.join(TOOLS, "symbols.py"), "never", lib],
                               capture_output=True, text=True)
            return r.returncode, r.stdout + r.stderr

    def test_a_quiet_one_passes(self):
        code, said = self.look("int getpid(void); int f(void) { return getpid(); }")
        self.assertEqual(code, 0, said)

    def test_what_it_finds(self):
        for name in ("exit", "abort", "setlocale", "setrlimit", "puts", "umask", "malloc"):
            code, said = self.look(f"int {name}(); int f(void) {{ return {name}(0, 0); }}")
            self.assertIn(f"calls {name}\n", said)
            self.assertEqual(code, 1, said)

    def test_a_constructor(self):
        code, said = self.look("int x; __attribute__((constructor)) void f(void) { x = 1; }")
        self.assertIn("something acts at load", said)
        self.assertEqual(code, 1, said)


if __name__ == "__main__":
    unittest.main()
