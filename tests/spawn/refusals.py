#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""refusals.py INCLUDE - what cannot be spawned is refused at compile time, with a sentence; and so is
what does not fit a typed channel.

Each program has a hole; with the bad token it must not compile and the compiler must say the
sentence, with the good token, its twin, it must compile without a warning."""
import re
import shutil
import subprocess
import sys

FLAGS = ["-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror=int-conversion",
         "-Werror=incompatible-pointer-types", "-x", "c", "-c", "-o", "/dev/null", "-"]
BOTH = ("gcc", "clang")
SEVENTEEN = ", ".join(str(i) for i in range(17))

# name, compilers, the body after the include, bad token, good token, the sentence
CASES = [
    ("a struct as the result", BOTH,
     "struct s { int a; }; typedef int i; {} f(void); int t(void) { return go(f); }",
     "struct s", "i", "coir_go: the function returns a struct; return it by pointer"),
    ("a union as the result", BOTH,
     "union u { int a; }; {} f(void); int t(void) { return go(f); }",
     "union u", "union u *", "coir_go: the function returns a struct; return it by pointer"),
    ("more than 128 bytes in a struct", BOTH,
     "struct s { char c[{}]; }; void f(struct s); int t(struct s s) { return go(f, s); }",
     "129", "128", "coir_go: more than 128 bytes of arguments; pass a pointer"),
    ("more than 128 bytes in all", BOTH,
     "struct s { char c[{}]; }; void f(int, struct s); "
     "int t(struct s s) { return go(f, 1, s); }",
     "121", "120", "coir_go: more than 128 bytes of arguments; pass a pointer"),
    ("seventeen arguments", BOTH,
     "void f(int, ...); int t(void) { return go(f, {}); }",
     SEVENTEEN, SEVENTEEN.rsplit(",", 1)[0],
     "coir_go: more than 128 bytes of arguments; pass a pointer"),
    ("a function that never returns", ("gcc",),
     "{} void f(void); int t(void) { return go(f); }",
     "_Noreturn", "extern", "coir_go: the function never returns"),
    ("too few arguments", BOTH,
     "void f(int, int); int t(void) { return go(f, {}); }", "1", "1, 2", "too few arguments"),
    ("too many arguments", BOTH,
     "void f(int); int t(void) { return go(f, {}); }", "1, 2", "1", "too many arguments"),
    ("a number for a pointer", BOTH,
     "void f(char *); int t(void) { return go(f, {}); }", "1", "0",
     "integer .*pointer|pointer .*integer|int-conversion"),
    ("a pointer to another type", BOTH,
     "void f(int *); int t({} *p) { return go(f, p); }", "long", "int",
     "incompatible"),
    ("no function", BOTH,
     "void f(void); int x; int t(void) { return go({}); }", "x", "f",
     "unary|indirection|not a function|pointer"),
    ("an argument of no value", BOTH,
     "void f(int); {} g(void); int t(void) { return go(f, g()); }", "void", "int",
     "void"),
    ("an option that is not there", BOTH,
     "void f(void); int t(void) { return coir_go_with(coir_opts(.{} = 0), f); }",
     "color", "stack_bytes", "color"),
    ("a scope's child that returns a pointer", BOTH,
     "{} f(void); int t(coir_scope *s) { return coir_scope_go(s, f); }",
     "void *", "long", "coir_scope_go: the function must return nothing or an integer"),
    ("a scope's child that returns a double", BOTH,
     "{} f(void); int t(coir_scope *s) { return coir_scope_go(s, f); }",
     "double", "_Bool", "coir_scope_go: the function must return nothing or an integer"),
    ("a runtime where a scope belongs", BOTH,
     "void f(void); int t({} *s) { return coir_scope_go(s, f); }",
     "coir_runtime", "coir_scope", "incompatible"),
    ("a typed channel: a pointer to another type", BOTH,
     "int t(coir_chan_of(const char *) c, {} *p) { return coir_of_send(c, p, COIR_NOW); }",
     "int", "char", "incompatible"),
    ("a typed channel: a number for a pointer", BOTH,
     "int t(coir_chan_of(char *) c) { return coir_of_send(c, {}, COIR_NOW); }", "1", "0",
     "integer"),
    ("a typed channel: a number for a struct", BOTH,
     "struct s { int a; }; int t(coir_chan_of(struct s) c, {} v) "
     "{ return coir_of_send(c, v, COIR_NOW); }", "int", "struct s", "invalid init|incompatible"),
    ("a typed channel: received into another type", BOTH,
     "int t(coir_chan_of(long) c) { {} v; return coir_of_recv(c, &v, COIR_NOW); }", "int",
     "long", "incompatible"),
    ("a typed channel: a case of another type", BOTH,
     "int t(coir_chan_of(long) c) { {} v = 0; coir_case one = coir_of_send_case(c, &v); "
     "return coir_select(&one, 1, COIR_NOW); }", "int", "long", "incompatible"),
    ("a typed channel: another's handle", BOTH,
     "void f(coir_chan_of(long)); int t(coir_chan_of({}) c) { f(c); return 0; }", "int", "long",
     "incompatible"),
    ("a typed channel: a channel of bytes", BOTH,
     "int t({} c) { return coir_of_send(c, 1, COIR_NOW); }", "coir_chan *", "coir_chan_of(int)",
     "not a function"),
]


def compile_with(compiler, include, text):
    r = subprocess.run([compiler, "-I" + include, *FLAGS], input=text, capture_output=True,
                       text=True)
    return r.returncode, r.stderr


def main(argv):
    include, bad, n = argv[0], 0, 0
    for name, compilers, body, wrong, right, sentence in CASES:
        for compiler in compilers:
            if not shutil.which(compiler):
                print(f"no {compiler}: its half is left out")
                continue
            n += 1
            head = "#include <coir/go.h>\n"
            code, said = compile_with(compiler, include, head + body.replace("{}", wrong, 1) + "\n")
            if code == 0 or not re.search(sentence, said):
                bad += 1
                print(f"FAILED: {compiler}: {name}: exit code {code}, and no \"{sentence}\"\n{said}")
            code, said = compile_with(compiler, include, head + body.replace("{}", right, 1) + "\n")
            if code != 0 or said:
                bad += 1
                print(f"FAILED: {compiler}: the twin of \"{name}\" does not compile quietly\n{said}")
    print(f"{n} refusals and their twins, {bad} failed")
    return 1 if bad or not n else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
