#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""man.py - the manual's section 3, written from the comments in include/coir/*.h.

    man.py --list           names of the pages
    man.py FOLDER           writes them there
    man.py --check BUILD    a test: every COIR_API function and every macro of the interface has a
                            page in the build folder that says what it returns; groff has no complaint

A comment's block belongs to the declarations that follow it without an empty line. In it everything
is description but the paragraph that lists what comes back, which begins with a value ("0 | -EPIPE
(closed) | ...") or with a word for one ("fd | -EINVAL ...").
"""
import itertools
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
HEADERS = os.path.join(ROOT, "include", "coir")
CODE = re.compile(r"//     ")  # a line of an example; in a description it keeps its spaces
# What these two mean wherever they are named without a reason.
WAITS = [("-ETIMEDOUT", "the deadline passed first; with COIR_NOW: it would have waited"),
         ("-ECANCELED", "the coroutine was cancelled")]


class Block:
    """One comment and what it speaks of."""

    def __init__(self, header, comment):
        self.header, self.comment = header, comment
        self.names, self.synopsis = [], []


def read_header(name):
    lines = open(os.path.join(HEADERS, name)).read().split("\n")
    blocks, comment, block, i = [], [], None, 0
    while i < len(lines):
        line = lines[i]
        i += 1
        if line.startswith("//"):
            if block is not None:
                comment, block = [], None
            if not re.match(r"// -{4,}", line):  # a heading of the header's
                comment.append(line[2:].rstrip() if CODE.match(line) else line[2:].strip())
            continue
        declared = re.match(r"COIR_API\b|#define (coir_[a-z]\w*|go)\(", line)
        if not declared:
            if not line.strip():
                comment, block = [], None
            elif block is None:
                comment = [] if not line.startswith((" ", "#if", "#e")) else comment
            continue
        text = line
        while not (text.rstrip().endswith(";") or line.startswith("#define")):
            text += " " + lines[i].strip()
            i += 1
        if line.startswith("#define"):
            while lines[i - 1].endswith("\\"):
                i += 1
            name_, form = declared.group(1), re.match(r"#define (\w+\([^)]*\))", line).group(1)
            # A list that may be empty is written '...' in the macro, 'fn, args...' for people.
            if name_ == "coir_opts":
                form = "coir_opts(.field = value, ...)"
            else:
                form = re.sub(r"\.\.\.\)$", "fn, args...)", form)
            names, synopsis = [name_], [form]
        else:
            text = re.sub(r"\s+", " ", re.sub(r"\b(COIR_API|COIR_MUST_USE) ?", "", text)).strip()
            names = re.findall(r"\b(coir_[a-z]\w*)\(", text)
            synopsis = [text]
        names = [n for n in names if not n.endswith("_")]
        if not names:
            continue
        if block is None:
            block = Block(name, comment)
            blocks.append(block)
        block.names += names[:1] if line.startswith("#define") else names
        block.synopsis += synopsis
    return blocks


def all_blocks():
    return [b for name in sorted(os.listdir(HEADERS)) if name.endswith(".h") for b in read_header(name)]


def split(comment):
    """Description and the list of what comes back."""
    for i, line in enumerate(comment):
        if re.match(r"(The index|> 0: |0 at |0: |0 \||-E[A-Z0-9]+ [|(]|\| -E|fd \||Bytes[ ,]|What fn returned|0$)", line) or \
                re.search(r"(^|\. )(0 \| -E|0 \| what|The same \||> 0: revents|Bytes (read|written))", line):
            found = re.search(r"(^|\. )((0 \|)|(> 0:)|(The same \|)|(Bytes ))", line)
            at = found.start(2) if found else 0
            return comment[:i] + [line[:at].strip()], [line[at:]] + comment[i + 1:]
    return comment, []


def errors_of(text, waits):
    errors = []
    for m in re.finditer(r"(-E[A-Z0-9]+)\s*(\(((?:[^()]|\([^()]*\))*)\))?", text):
        if m.group(1) not in [e for e, _ in errors]:
            errors.append((m.group(1), m.group(3) or ""))
    if waits:
        errors += [e for e in WAITS if e[0] not in dict(errors)]
    return [(e, why or dict(WAITS).get(e, "")) for e, why in errors]


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def header_of(block, name):
    """What a program includes: coir.h has all but these two."""
    if name == "go":
        return "coir/go.h"
    return "coir/jemalloc.h" if block.header == "jemalloc.h" else "coir.h"


def page(block, name, version):
    description, values = split(block.comment)
    text = " ".join(line for line in description if line and not line.startswith(" "))
    back = " ".join(values)
    first = re.split(r"(?<=[.:;]) ", text)[0].rstrip(".:;") if text else name
    # The head of this header speaks for all its calls that take a deadline.
    waits = block.header == "io.h" and any("deadline" in s and re.search(r"\b%s\(" % name, s) for s in block.synopsis)
    errors = errors_of(text + " " + back, waits)
    out = [f'.TH {name} 3 "" "coir {version}" "coir"', ".SH NAME",
           f"{', '.join(block.names)} \\- {roff(first[0].lower() + first[1:])}",
           ".SH SYNOPSIS", ".nf", f"#include <{header_of(block, name)}>", ".PP"]
    out += [roff(s) for s in block.synopsis]
    out += [".fi", ".SH DESCRIPTION"]
    for code, lines in itertools.groupby(description, lambda line: line.startswith(" ") if line else None):
        if code is not None:
            text_of = roff("\n".join(lines))
            out += [".PP", f".EX\n{text_of}\n.EE" if code else text_of]
    nothing = all(s.startswith("void ") and "*" not in s.split("(")[0] for s in block.synopsis)
    out += [".SH RETURN VALUE", roff(back) if back else "Nothing." if nothing else "See above."]
    out += [".SH ERRORS"]
    for error, why in errors:
        out += [".TP", f".B {roff(error)}", roff(why or os.strerror(number(error)))]
    if not errors:
        out.append("None: this call does not fail.")
    others = [f".BR {n} (3)," for n in block.names if n != name]
    out += [".SH SEE ALSO", *others, f"the comment at the head of <coir/{block.header}>"]
    return "\n".join(out) + "\n"


def number(error):
    import errno
    return getattr(errno, error[1:], 0)


def version():
    text = open(os.path.join(HEADERS, "base.h")).read()
    return ".".join(re.search(rf"COIR_VERSION_{p} (\d+)", text).group(1) for p in ("MAJOR", "MINOR", "PATCH"))


def pages():
    return {f"{name}.3": page(block, name, version())
            for block in all_blocks() for name in block.names}


def declared():
    """Independent of the above: every name that users may call."""
    names = set()
    for name in os.listdir(HEADERS):
        text = open(os.path.join(HEADERS, name)).read()
        code = re.sub(r"//[^\n]*", "", text)
        names |= set(re.findall(r"\bCOIR_API\b[^;{]*?\b(coir_\w+)\s*\(", code))
        names |= set(re.findall(r"^#define (coir_[a-z]\w*|go)\(", code, flags=re.M))
    return {n for n in names if not n.endswith("_")}


def check(build):
    bad = 0
    for name in sorted(declared()):
        path = os.path.join(build, f"{name}.3")
        if not os.path.exists(path):
            print(f"{name}: declared, and there is no page")
            bad += 1
            continue
        text = open(path).read()
        returns_int = re.search(r"\b(int|ssize_t) %s\(" % name, text)
        if not re.search(r"\.SH ERRORS\n(\.TP\n\.B |None)", text):
            print(f"{name}: the page does not name errors")
            bad += 1
        elif returns_int and "None: this call does not fail" in text:
            print(f"{name}: returns an error and names none")
            bad += 1
        if "fn, args" in text and "None: this call does not fail" in text:
            print(f"{name}: starts something and names no error")
            bad += 1
        if re.search(r"(\\-){4}", text):
            print(f"{name}: a heading of the header's is in the page")
            bad += 1
        if not re.search(r"\.SH DESCRIPTION\n\.PP\n\S", text):
            print(f"{name}: the header says nothing of it")
            bad += 1
        if shutil.which("groff"):
            said = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", path], capture_output=True, text=True)
            if said.stderr or said.returncode:
                print(f"{name}: {said.stderr}")
                bad += 1
    print(f"{len(declared())} names, {bad} complaints")
    return 1 if bad or len(declared()) < 20 else 0


def main(argv):
    if argv == ["--list"]:
        print("\n".join(sorted(pages())))
    elif len(argv) == 2 and argv[0] == "--check":
        return check(argv[1])
    elif len(argv) == 1:
        os.makedirs(argv[0], exist_ok=True)
        for name, text in pages().items():
            open(os.path.join(argv[0], name), "w").write(text)
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
