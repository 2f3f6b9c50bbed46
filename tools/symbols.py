#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""symbols.py - what the built library gives away and what it takes.

    symbols.py exports LIB...       every global of these libraries begins with coir_
    symbols.py complete LIB...      the same, and every declared function is there
    symbols.py seam ARCHIVE         outside base/platform_*.c nothing is taken from libc but
                                    what tools/libc_allowed.txt names, and no name of libc's is
                                    taken from it; and libc's memory is for what belongs to no
                                    runtime: who is in one asks base/memory.h
    symbols.py tls LIBCOIR.SO       no thread-local of the initial-exec model: dlopen must work
    symbols.py quiet LIBCOIR.SO     no constructor and no destructor but those that the compiler's own
                                    start files put into every shared object
    symbols.py never LIB...         nothing is called that would end the process, print, or change what
                                    is the host's (NEVER); an archive has no constructor either; and
                                    abort is base/panic.c's alone (in an archive of many files)
    symbols.py watchdogs BUILD      every program that is a test, or an argument of one, brings
                                    the hang watchdog of tests/lib
"""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SEAM = "base_platform_"
# Who may take libc's memory: what is the process's, and base/memory.c itself.
LIBC_MEMORY = {"os_alloc", "os_free"}
OF_THE_PROCESS = ("base_memory.c.", "base_platform_memory.c.", "io_fd.c.", "sync_chan.c.", "sync_timer.c.")
BESIDE = {"jemalloc.h"}
# The linker's own marks in a shared object, and the version node.
NOISE = {"_init", "_fini", "_edata", "_end", "__bss_start", "COIR_0"}
# The watchdog is a thread, and here no thread may be: alarm(2) ends this one.
ALONE = ("tests/api/deadlock",)
NEVER = """
    exit _exit _Exit quick_exit atexit at_quick_exit on_exit __cxa_atexit raise kill pthread_exit pthread_kill
    printf vprintf puts putchar putc fputs fputc fwrite fprintf vfprintf dprintf vdprintf perror psignal
    __printf_chk __fprintf_chk __vfprintf_chk __dprintf_chk stdout stderr syslog vsyslog openlog error warn warnx err
    setlocale uselocale newlocale duplocale bindtextdomain textdomain tzset
    setrlimit setrlimit64 prlimit prlimit64 setpriority nice umask chdir fchdir chroot setenv putenv unsetenv clearenv
    setuid setgid seteuid setegid setsid setpgid daemon prctl personality mlockall munlockall
    malloc calloc realloc reallocarray mallopt malloc_trim dlopen dlclose dlsym system popen fork vfork execve signal
    sigprocmask siginterrupt alarm setitimer srand random srandom setjmp _setjmp __sigsetjmp longjmp siglongjmp
    __longjmp_chk makecontext swapcontext setcontext
""".split()
SANITIZERS = ("__asan_", "__odr_asan", "__tsan_", "___asan_", "__sancov_", "__llvm_", "__gcov_")


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def declared(lib):
    """What this library's headers promise: each library beside libcoir has one of its own."""
    beside = re.search(r"libcoir_(\w+)\.", os.path.basename(lib))
    names = set()
    folder = os.path.join(HERE, "..", "include", "coir")
    for name in sorted(os.listdir(folder)):
        own = beside.group(1) if beside else None
        if not name.endswith(".h") or (name[:-2] if name in BESIDE else None) != own:
            continue
        text = open(os.path.join(folder, name)).read()
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
        for m in re.finditer(r"\bCOIR_API\b[^;{]*?\b(coir_\w+)\s*\(", text):
            names.add(m.group(1))
    return names


def exports(libs, complete=False):
    bad = 0
    for lib in libs:
        dynamic = ["-D"] if ".so" in lib else []
        names = set()
        for line in run("nm", "-g", "--defined-only", *dynamic, lib).splitlines():
            if len(line.split()) >= 3:
                names.add(line.split()[-1].split("@")[0])
        for name in sorted(names - NOISE):
            if not name.startswith(("coir_",) + SANITIZERS):
                print(f"{lib}: exports {name}, which does not begin with coir_")
                bad += 1
        for name in sorted(declared(lib) - names):
            print(f"{lib}: {name} is declared in include/coir and not there")
            bad += complete
        print(f"{lib}: {len(names)} names, {len(declared(lib))} declared")
    return bad


def libc_path():
    with open("/proc/self/maps") as maps:
        return next(line.split()[-1] for line in maps if re.search(r"/libc[.-][^/]*so", line))


def seam(archive):
    exact, prefixes = set(), []
    for line in open(os.path.join(HERE, "libc_allowed.txt")):
        line = line.strip()
        if line.startswith("*"):
            prefixes.append(line[1:])
        elif line and not line.startswith("#"):
            exact.add(line)
    defined, taken, obj = set(), [], ""
    for line in run("nm", archive).splitlines():
        if line.endswith(":"):
            obj = os.path.basename(line[:-1])
            continue
        f = line.split()
        if len(f) == 2 and f[0] in "Uw":
            taken.append((obj, f[1]))
        elif len(f) == 3 and f[1] not in "tdbr":
            defined.add(f[2])
    bad = 0
    for obj, name in taken:
        if name in LIBC_MEMORY and not obj.startswith(OF_THE_PROCESS):
            print(f"{obj}: calls {name}: a runtime's memory comes from base/memory.h")
            bad += 1
        if obj.startswith(SEAM) or name in defined or name in exact or name.startswith(tuple(prefixes)):
            continue
        print(f"{obj}: calls {name}, which belongs behind base/platform.h")
        bad += 1
    libc = {line.split()[-1].split("@")[0]
            for line in run("nm", "-D", "--defined-only", libc_path()).splitlines()}
    for name in sorted(defined & libc):
        print(f"{archive}: {name} is a name of libc's: who links this archive loses the other one")
        bad += 1
    print(f"{archive}: {len(taken)} undefined symbols looked at")
    return bad or not taken and not defined


def tls(lib):
    if "STATIC_TLS" in run("readelf", "-d", lib):
        print(f"{lib}: uses initial-exec thread-locals (DF_STATIC_TLS)")
        return 1
    print(f"{lib}: no initial-exec thread-local")
    return 0


def quiet(lib):
    bad = 0
    sections = run("readelf", "-SW", lib)
    for name in (".init_array", ".fini_array", ".preinit_array", ".ctors", ".dtors"):
        m = re.search(re.escape(name) + r"\s+\S+\s+[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+)", sections)
        bytes_there = int(m.group(1), 16) if m else 0
        allowed = 8 if name in (".init_array", ".fini_array") else 0  # frame_dummy and its partner
        if bytes_there > allowed:
            print(f"{lib}: {name} has {bytes_there} bytes, not {allowed}: something acts at load or unload")
            bad += 1
    print(f"{lib}: nothing acts at load or unload")
    return bad


def never(libs):
    bad = 0
    for lib in libs:
        dynamic = ["-D"] if ".so" in lib else []
        obj, looked = "", 0
        for line in run("nm", "--undefined-only", *dynamic, lib).splitlines():
            if line.endswith(":"):
                obj = os.path.basename(line[:-1])
            elif line.strip():
                looked += 1
                name = line.split()[-1].split("@")[0]
                if name in NEVER or name == "abort" and obj.endswith(".c.o") and obj != "base_panic.c.o":
                    print(f"{lib} {obj}: calls {name}")
                    bad += 1
        if not dynamic:
            arrays = r"\.(?:init_array|fini_array|preinit_array|ctors|dtors)\b"
            for section in re.findall(arrays, run("readelf", "-SW", lib)):
                print(f"{lib}: has {section}: something acts at load or unload")
                bad += 1
        print(f"{lib}: {looked} names are taken from elsewhere")
        bad += looked == 0
    return bad


def watchdogs(build):
    build = os.path.realpath(build)
    programs = set()
    with open(os.path.join(build, "meson-info", "intro-tests.json")) as f:
        for test in json.load(f):
            for word in test["cmd"]:
                path = os.path.realpath(os.path.join(build, word))
                if path.startswith(os.path.join(build, "tests") + os.sep) and \
                        os.path.isfile(path) and os.access(path, os.X_OK) and \
                        not path.endswith(".so"):  # a module's host has it
                    programs.add(path)
    without = [p for p in sorted(programs) if " test_watchdog" not in run("nm", p)
               and os.path.relpath(p, build) not in ALONE]
    for p in without:
        print(f"{os.path.relpath(p, build)}: does not link test_lib: it may hang for ever")
    print(f"{len(programs)} programs")
    return len(without) or not programs


def main(argv):
    what, args = argv[0], argv[1:]
    bad = {"exports": lambda: exports(args), "complete": lambda: exports(args, True),
           "seam": lambda: seam(args[0]),
           "tls": lambda: tls(args[0]), "quiet": lambda: quiet(args[0]), "never": lambda: never(args), "watchdogs": lambda: watchdogs(args[0])}[what]()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
