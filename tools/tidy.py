#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tidy.py [--write | --no-page] [--root DIR] - the rules of the house that a machine can check; a test.

Fails on
    an include that the table of floors (ALLOWED) does not have, or a circle of includes
    an ordered atomic access without a [LABEL], or whose comment names another order
    a label in docs/*.md that no source has; a test, scene or mutant in docs/regressions.md that is nowhere
    a mutant in tests/model/mutants that changes nothing
    a label without "pairs with [OTHER]" or "no partner: reason"; a partner that does not exist
    a relaxed access without the word "relaxed" and its reason beside it
    liburing.h or a system call's header outside base/platform_*.c
    a file without its SPDX line, a line over 100 columns, a tab, a letter that is not ASCII
    docs/memory-order.md when it is not what the sources say (--write writes it, --no-page does
    not look)
Prints, without failing, files over 600 lines, functions over 70, and how many lines are over 90
columns.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
FLOORS = ["arch", "base", "netpoll", "sched", "sync", "io", "runtime"]

# Who may include whom. A folder's name allows all of it, a header's name that header alone.
SCHED_FACES = ["sched/park.h", "sched/sched.h", "sched/idle.h", "sched/sysmon.h", "sched/g.h", "sched/spawn.h",
               "sched/hosted.h"]
ALLOWED = {
    "include": ["coir", "coir.h"],
    "arch": ["arch"],
    "base": ["base", "arch"],
    "netpoll": ["netpoll", "base"],
    "sched": ["sched", "netpoll/netpoll.h", "base", "arch"],
    "sync": ["sync", "sched/park.h", "sched/park_inline.h", "base", "coir/base.h", "coir/chan.h", "coir/sync.h"],
    "io": ["io", "sched/park.h", "netpoll/netpoll.h", "base", "coir/base.h", "coir/io.h"],
    "runtime": ["runtime", "sync", "io", "netpoll/netpoll.h", "base", "arch/context.h", "coir", "coir.h",
                *SCHED_FACES],
    "extra": ["coir", "base/atomic.h"],
    "tests/unit": [*FLOORS, "tests/lib", "tests/unit", "coir", "coir.h"],
    "tests/arch": ["arch", "base", "tests/lib", "tests/arch", "coir"],
    "tests/model": [*FLOORS, "tests", "coir", "coir.h"],
    "tests/fault": [*FLOORS, "tests", "coir", "coir.h"],
    "tests/lib": ["tests/lib"],
    "tests": ["coir", "coir.h", "tests"],
    "bench": ["coir", "coir.h", "bench"],
    "examples": ["coir", "coir.h", "examples"],
}
ANYTHING = {"runtime/check.c", "runtime/debug.c"}
SEAM_ONLY = {"liburing.h", "sys/syscall.h", "sys/mman.h"}
SEAM = re.compile(r"base/platform_\w+\.c$")

ORDER = r"(acquire|release|acq_rel|seq_cst)"
VERB = re.compile(
    r"\b(?:(load|store|swap|add|or|and|cas)_" + ORDER +
    r"|(?<!void )(?<!bool )(fence)_(seq_cst|light|heavy)(?:_one)?)\s*\(")
RELAXED = re.compile(r"\b(?:load|store|swap|add|or|and|cas)_relaxed\s*\(")
LABEL = r"\[([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+|[A-Z]{2,}[A-Z0-9]*)\]"
NAMED = re.compile(LABEL + r"\s+(?:and\s+\S+\s+)?(relaxed|acquire|release|acq_rel|seq_cst|light|heavy)\b")
REACH = 8  # lines upward from an access in which its label is looked for

errors, notes = [], []


def error(path, line, text):
    errors.append(f"{path}:{line}: {text}")


def sources():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                         cwd=ROOT, capture_output=True, text=True)
    names = out.stdout.split("\n") if out.returncode == 0 else [
        os.path.relpath(os.path.join(d, f), ROOT)
        for d, _, files in os.walk(ROOT) if "/build" not in d and "/." not in d for f in files]
    names = [n for n in sorted(names) if n.endswith((".c", ".h", ".S", ".cpp", ".hpp", ".inc"))]
    return {n: open(os.path.join(ROOT, n), encoding="utf-8").read().split("\n")
            for n in names if os.path.isfile(os.path.join(ROOT, n))}


# ---- Includes ------------------------------------------------------------------------------

def room_of(path):
    parts = path.split("/")
    if path.startswith("include/"):
        return "include"
    two = "/".join(parts[:2])
    return two if two in ALLOWED else parts[0]


def resolve(name, tree):
    for path in (name, "include/" + name):
        if path in tree:
            return path
    return None


def check_includes(tree):
    graph = {}
    for path, lines in tree.items():
        includes = []
        for i, line in enumerate(lines, 1):
            m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if not m:
                continue
            quoted, name = m.group(1) == '"', m.group(2)
            includes.append((i, quoted, name))
            if name in SEAM_ONLY and path.split("/")[0] in FLOORS and not SEAM.match(path):
                error(path, i, f"<{name}> belongs into base/platform_*.c")
            project = name.split("/")[0] in ALLOWED or name.startswith(("coir/", "tests/")) \
                or name == "coir.h"
            if not project:
                if quoted:
                    error(path, i, f'"{name}" is not written from the root of the tree')
                continue
            target = resolve(name, tree)
            if target:
                graph.setdefault(path, []).append(target)
            allowed = ALLOWED.get(room_of(path))
            if allowed is None or path in ANYTHING:
                continue
            if not any(name == a or name.startswith(a + "/") for a in allowed):
                error(path, i, f"{room_of(path)} may not include {name}")
        own = re.sub(r"\.c$", ".h", path)
        if path.endswith(".c") and own in tree and includes and includes[0][2] != own:
            error(path, includes[0][0], f'"{own}" comes first: proof that it stands alone')
    find_circles(graph)


def find_circles(graph):
    done, path = set(), []

    def visit(node):
        if node in path:
            error(node, 1, "a circle of includes: " + " > ".join(path[path.index(node):] + [node]))
            return
        if node in done:
            return
        path.append(node)
        for target in graph.get(node, []):
            visit(target)
        path.pop()
        done.add(node)

    for node in sorted(graph):
        visit(node)


# ---- Atomics -------------------------------------------------------------------------------

def comment_of(line):
    m = re.search(r"//(.*)$|/\*(.*?)\*/", line)
    return (m.group(1) or m.group(2) or "").strip() if m else ""


def code_of(line):
    return re.sub(r'"(\\.|[^"\\])*"', '""', re.sub(r"//.*$|/\*.*?\*/", "", line))


def is_comment(line):
    return line.lstrip().startswith("//")


def block_above(lines, i):
    """The comment that ends on line i (0-based), as one text."""
    first = i
    while first > 0 and is_comment(lines[first]) and is_comment(lines[first - 1]):
        first -= 1
    last = i
    while is_comment(lines[i]) and last + 1 < len(lines) and is_comment(lines[last + 1]):
        last += 1
    return " ".join(comment_of(l) for l in lines[first:last + 1])


def near(lines, i, wanted, blank_ends=True):
    """The nearest comment at or above line i that 'wanted' accepts, within one paragraph."""
    text = comment_of(lines[i])
    # A comment at a line's end may go on in the lines below it.
    j = i
    while text and j + 1 < len(lines) and is_comment(lines[j + 1]) and not is_comment(lines[i]):
        j += 1
        text += " " + comment_of(lines[j])
    if wanted(text):
        return text
    for j in range(i - 1, max(i - 1 - REACH, -1), -1):
        if blank_ends and not lines[j].strip() or lines[j].startswith("}"):
            return None
        text = block_above(lines, j) if comment_of(lines[j]) else ""
        if text and wanted(text):
            return text
    return None


def function_at(lines, i):
    for j in range(i, -1, -1):
        m = re.match(r"(?:[A-Za-z_][\w\s\*]*?[\s\*])(\w+)\(", lines[j])
        if m and not lines[j].rstrip().endswith(";"):
            return m.group(1)
        m = re.match(r"#\s*define\s+(\w+)", lines[j])
        if m:
            return m.group(1)
    return "-"


def partners_of(text, label):
    """Labels named after 'pairs with' in the sentence of 'label'; True for 'no partner'."""
    at = text.find(f"[{label}]")
    rest = text[at + len(label) + 2:]
    other = NAMED.search(rest)
    if other:
        rest = rest[:other.start()] if "pairs with" in rest[:other.start()] else rest
    if re.search(r"\bno partner\b\s*[:,(]?\s*\w+", rest):
        return True, []
    m = re.search(r"pairs with(.*?)(?:[.:;]|$)", rest)
    if not m:
        return False, []
    names = re.findall(LABEL, m.group(1))
    if re.search(r"\bitself\b", m.group(1)):
        names.append(label)
    return bool(names), names


def check_atomics(tree):
    sites, known, n_ordered = [], set(), 0
    for path, lines in tree.items():
        if path.split("/")[0] not in FLOORS or path == "base/atomic.h":
            continue
        for i, line in enumerate(lines):
            if is_comment(line):
                known.update(m.group(1) for m in NAMED.finditer(block_above(lines, i)))
            elif comment_of(line):
                known.update(m.group(1) for m in NAMED.finditer(comment_of(line)))
            code = code_of(line)
            if RELAXED.search(code) and near(
                    lines, i, lambda t: "relaxed" in t, blank_ends=False) is None:
                error(path, i + 1, "a relaxed access without its reason")
            for verb in VERB.finditer(code):
                n_ordered += 1
                order = verb.group(2) or verb.group(4)
                text = near(lines, i, lambda t: NAMED.search(t)) or \
                    near(lines, i, lambda t: re.search(LABEL, t))
                if text is None:
                    error(path, i + 1, f"{verb.group(0)[:-1]} has no [LABEL]")
                    continue
                named = [m for m in NAMED.finditer(text)]
                fits = [m for m in named if m.group(2) == order]
                if named and not fits:
                    error(path, i + 1, f"[{named[0].group(1)}] says {named[0].group(2)}, "
                                       f"the verb says {order}")
                    continue
                label = fits[0].group(1) if fits else re.search(LABEL, text).group(1)
                known.add(label)
                ok, partners = partners_of(text, label)
                if not ok:
                    error(path, i + 1, f"[{label}] names no partner (\"pairs with [X]\", or "
                                       f"\"no partner: reason\")")
                sites.append((path, function_at(lines, i), label, verb.group(0)[:-1].strip(),
                              partners, i + 1))
    for path, _, label, _, partners, line in sites:
        for partner in partners:
            if partner not in known:
                error(path, line, f"[{label}] pairs with [{partner}], which is nowhere")
    check_pages(known)
    check_guards()
    notes.append(f"{n_ordered} ordered accesses, {len({s[2] for s in sites})} labels")
    return sites


def check_guards():
    """What docs/regressions.md says is guarded by a test, a scene or a mutant must be."""
    page = os.path.join(ROOT, "docs", "regressions.md")
    if not os.path.exists(page):
        return
    text = []
    for folder in ["tests", "bench", *FLOORS]:
        for where, _, names in os.walk(os.path.join(ROOT, folder)):
            text += names
            for name in names:
                if name.endswith((".c", ".h", ".cpp", ".sh", ".py", ".build", ".pml")):
                    text.append(open(os.path.join(where, name), encoding="utf-8").read())
    text = "\n".join(text)
    mutants = os.path.join(ROOT, "tests", "model", "mutants")
    mutants = os.listdir(mutants) if os.path.isdir(mutants) else []

    def there(word):
        # Some names are put together in a meson.build: a prefix and one of a list.
        cuts = [i + 1 for i, c in enumerate(word) if c == "_"]
        return word in text or any(word[:i] in text and word[i:] in text for i in cuts)

    for i, line in enumerate(open(page, encoding="utf-8"), 1):
        if not line.startswith("|"):
            continue
        cell = line.rstrip().rstrip("|").rsplit(" | ", 1)[-1]
        for m in re.finditer(r"\bmutants? ([^\s;,]+(?:(?:, | and )[^\s;,]+)*)", cell):
            for name in re.split(r", | and ", m.group(1)):
                if not any(re.match(re.escape(name.rstrip("*")) + r"(\b|_)|" + re.escape(name) + "-", f)
                           or name.endswith("*") and f.startswith(name[:-1]) for f in mutants):
                    error("docs/regressions.md", i, f"there is no mutant {name}")
        cell = re.sub(r"\bmutants? [^;|]*", "", cell)
        for word in re.findall(r"[a-z0-9]+(?:_[a-z0-9*]+)+\*?", cell):
            if not all(there(part) for part in word.split("*") if part.strip("_")):
                error("docs/regressions.md", i, f"{word} is nowhere in the tests")


def check_mutants():
    """A fault that is planted nowhere is found by nobody: each still changes its file."""
    folder = os.path.join(ROOT, "tests", "model", "mutants")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        mutant = os.path.join(folder, name)
        head = re.search(r"^# file: (.+)$", open(mutant, encoding="utf-8").read(), re.M)
        if not head:
            continue
        path = os.path.join(ROOT, head.group(1))
        changed = subprocess.run(["sed", "-f", mutant, path], capture_output=True, check=False).stdout
        if not os.path.exists(path) or changed == open(path, "rb").read():
            error("tests/model/mutants/" + name, 1, f"no longer changes {head.group(1)}")


def check_pages(known):
    """A label that a page of docs/ tells of must exist."""
    folder = os.path.join(ROOT, "docs")
    for name in sorted(os.listdir(folder) if os.path.isdir(folder) else []):
        if not name.endswith(".md") or name == "memory-order.md":
            continue
        for i, line in enumerate(open(os.path.join(folder, name)), 1):
            for m in re.finditer(r"\[([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+)\]", line):
                if m.group(1) not in known:
                    error(f"docs/{name}", i, f"[{m.group(1)}] is nowhere in the sources")


def memory_order(sites):
    out = ["# Memory order", "",
           "Written by `./dev tidy` from the labels in the sources; do not edit. Every access to a",
           "shared word that orders something has a label; a label's partner is the access on the",
           "other side. The reason stands beside the access. `wakeup.md` tells the races.", "",
           "| label | verb | where | pairs with |", "|---|---|---|---|"]
    rows = set()
    for path, function, label, verb, partners, _ in sites:
        with_whom = ", ".join("itself" if p == label else p for p in dict.fromkeys(partners))
        rows.add((label, verb, f"{path}: {function}", with_whom or "nobody"))
    for row in sorted(rows):
        out.append("| " + " | ".join(row) + " |")
    return "\n".join(out) + "\n"


# ---- Text ----------------------------------------------------------------------------------

def check_text(tree):
    wide = 0
    for path, lines in tree.items():
        if not any("SPDX-License-Identifier: MIT" in l for l in lines[:2]):
            error(path, 1, "the SPDX line is missing")
        for i, line in enumerate(lines, 1):
            wide += len(line) > 90
            if len(line) > 100:
                error(path, i, f"{len(line)} columns")
            if "\t" in line and not path.endswith(".S"):
                error(path, i, "a tab")
            if not line.isascii():
                error(path, i, "a letter that is not ASCII")
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                error(path, i, "unfinished: say it in docs/roadmap.md or do it")
        if len(lines) > 600:
            notes.append(f"{path}: {len(lines)} lines")
        start = None
        for i, line in enumerate(lines, 1):
            if line == "{":
                start = i
            elif line == "}" and start:
                if i - start - 1 > 70:
                    notes.append(f"{path}:{start}: a function of {i - start - 1} lines")
                start = None
    notes.append(f"{wide} lines over 90 columns")


def main(argv):
    global ROOT
    if "--root" in argv:
        ROOT = argv[argv.index("--root") + 1]
    tree = sources()
    check_includes(tree)
    sites = check_atomics(tree)
    check_text(tree)
    check_mutants()
    page = os.path.join(ROOT, "docs", "memory-order.md")
    text = memory_order(sites)
    if "--write" in argv:
        os.makedirs(os.path.dirname(page), exist_ok=True)
        open(page, "w").write(text)
    elif "--no-page" not in argv and (not os.path.exists(page) or open(page).read() != text):
        error("docs/memory-order.md", 1, "is not what the sources say: ./dev tidy writes it")
    for note in notes:
        print("note:", note)
    for e in errors:
        print(e)
    print(f"tidy: {len(tree)} files, {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
