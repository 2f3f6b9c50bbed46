# SPDX-License-Identifier: MIT
"""coir.py - coroutines in gdb: of a live process, and of a core.

    (gdb) source /usr/share/coir/gdb/coir.py
    (gdb) coir list            every coroutine: number, state, what it waits on, where it was spawned
    (gdb) coir bt ID           the backtrace of one
    (gdb) coir all             the backtraces of all

Nothing is called in the process and nothing in it is changed. The library's debug information is
not needed: it exports where its fields are (coir_gdb_layout_). A parked coroutine's backtrace is
gdb's own, from the registers that the switch left on its stack: an unwinder gives them to gdb as
those of the caller of the selected thread's innermost frame, and that frame is not shown.
"""
import time

import gdb
import gdb.unwinder

STATES = ["dead", "runnable", "running", "parking", "parked"]
PARKED, OPEN_IO, KIND = 4, 2, 3
# What arch_switch pushed, from the stack pointer up (arch/x86_64/context.S).
SAVED = ["r15", "r14", "r13", "r12", "rbx", "rbp", "rip"]
FIELDS = ["version", "next", "chunks", "n_chunks", "chunk", "coarse", "id", "state", "wait", "site",
          "named", "name", "sp", "low", "waits_on", "waits_at", "since"]


class Memory:
    def read(self, at, size):
        return int.from_bytes(bytes(gdb.selected_inferior().read_memory(at, size)), "little")

    def word(self, at):
        return self.read(at, 8)

    def u32(self, at):
        return self.read(at, 4)

    def text(self, at, most=200):
        out = b""
        while at and len(out) < most:
            try:
                c = bytes(gdb.selected_inferior().read_memory(at + len(out), 1))
            except gdb.MemoryError:
                return "?"
            if c == b"\0":
                break
            out += c
        return out.decode("utf-8", "replace")


memory = Memory()


def symbol(name):
    return int(gdb.parse_and_eval(f"(unsigned long)&{name}"))


def now(coarse):
    """CLOCK_MONOTONIC where the process runs here; in a core what the runtime last noted."""
    connection = getattr(gdb.selected_inferior(), "connection", None)
    return time.monotonic_ns() if connection and connection.type == "native" else coarse


class Layout:
    def __init__(self):
        try:
            at = symbol("coir_gdb_layout_")
        except gdb.error:
            raise gdb.GdbError("there is no libcoir in this process, or it has not been loaded yet")
        for i, name in enumerate(FIELDS):
            setattr(self, name, memory.u32(at + 4 * i))
        if self.version != 1:
            raise gdb.GdbError(f"this libcoir has layout {self.version}; use the coir.py that came with it")


class Coroutine:
    def __init__(self, layout, runtime, g):
        self.g = g
        self.id = memory.word(g + layout.id)
        self.state = memory.u32(g + layout.state)
        self.name = memory.text(g + layout.name, 24) if memory.read(g + layout.named, 1) else ""
        self.sp = memory.word(g + layout.sp)
        self.low = memory.word(g + layout.low)
        site = memory.word(g + layout.site)
        self.site = ""
        if site:  # struct coir_site: file, function, line
            self.site = (f"{memory.text(memory.word(site))}:{memory.u32(site + 16)} "
                         f"({memory.text(memory.word(site + 8))})")
        self.waits = ""
        if self.state == PARKED:
            age = (now(memory.word(runtime + layout.coarse)) - memory.word(g + layout.since)) / 1e9
            at = memory.word(g + layout.waits_at)
            is_io = memory.word(g + layout.wait) & KIND == OPEN_IO
            self.waits = f"{max(age, 0):.3f} s in {memory.text(memory.word(g + layout.waits_on))}"
            if is_io:
                self.waits += f" fd {at & 0xffffffff}"
            elif at:
                self.waits += f" {at:#x}"

    def line(self):
        name = f' "{self.name}"' if self.name else ""
        waits = f" {self.waits}" if self.waits else ""
        site = f", spawned at {self.site}" if self.site else ""
        return f"coroutine {self.id}{name}: {STATES[self.state]}{waits}{site}"


def coroutines():
    """Every coroutine that is not dead, of every runtime."""
    layout = Layout()
    runtime = memory.word(symbol("coir_gdb_runtimes_"))
    while runtime:
        for c in range(layout.n_chunks):
            chunk = memory.word(runtime + layout.chunks + 8 * c)
            if not chunk:
                continue
            entries = bytes(gdb.selected_inferior().read_memory(chunk, 8 * layout.chunk))
            for i in range(layout.chunk):
                g = int.from_bytes(entries[8 * i:8 * i + 8], "little")
                if g and memory.u32(g + layout.state) != 0:
                    yield Coroutine(layout, runtime, g)
        runtime = memory.word(runtime + layout.next)


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Elsewhere(gdb.unwinder.Unwinder):
    """Says that a parked coroutine called the selected thread's innermost frame."""

    def __init__(self):
        super().__init__("coir")
        self.sp = None  # of the coroutine to show

    def __call__(self, frame):
        if self.sp is None or self.at != (int(frame.read_register("rsp")),
                                          int(frame.read_register("rip"))):
            return None
        word = gdb.lookup_type("unsigned long")
        # Its frame counts as the lowest of all: gdb ends a backtrace where a caller's frame lies
        # below, as a coroutine's stack does seen from an ordinary thread's.
        info = frame.create_unwind_info(FrameId(gdb.Value(0).cast(word),
                                                frame.read_register("rip")))
        for i, name in enumerate(SAVED):
            info.add_saved_register(name, gdb.Value(memory.word(self.sp + 8 * i)).cast(word))
        info.add_saved_register("rsp", gdb.Value(self.sp + 8 * len(SAVED)).cast(word))
        return info

    def backtrace(self, sp):
        gdb.newest_frame().select()
        self.at = (int(gdb.newest_frame().read_register("rsp")),
                   int(gdb.newest_frame().read_register("rip")))
        self.sp = sp
        gdb.invalidate_cached_frames()
        try:
            return gdb.execute("bt", to_string=True)
        finally:
            self.sp = None
            gdb.invalidate_cached_frames()


elsewhere = Elsewhere()
gdb.unwinder.register_unwinder(None, elsewhere, replace=True)


def renumbered(text):
    """Without the frame that the unwinder started from."""
    out, seen = [], 0
    for line in text.splitlines():
        if line.startswith("#"):
            number, rest = line[1:].split(None, 1)
            seen = int(number)
            if seen > 0:
                out.append(f"#{seen - 1:<3} {rest}")
        elif seen > 0:
            out.append(line)
    return "\n".join(out)


def thread_of(coroutine):
    """The thread whose stack pointer stands in the coroutine's stack."""
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        sp = int(gdb.newest_frame().read_register("rsp"))
        if coroutine.low <= sp < coroutine.g:
            return thread
    return None


def show(coroutine):
    print(coroutine.line())
    selected = gdb.selected_thread()
    try:
        if coroutine.state == PARKED or coroutine.state == 1:
            print(renumbered(elsewhere.backtrace(coroutine.sp)))
        elif thread_of(coroutine):
            print(gdb.execute("bt", to_string=True).rstrip())
        else:
            print("(on its way from one stack to another)")
    finally:
        if selected:
            selected.switch()


class Coir(gdb.Command):
    """coir list | coir bt ID | coir all - the coroutines of this process or core."""

    def __init__(self):
        super().__init__("coir", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if words == ["list"]:
            n = 0
            for coroutine in coroutines():
                print(coroutine.line())
                n += 1
            print(f"{n} coroutines")
        elif words == ["all"]:
            for coroutine in coroutines():
                show(coroutine)
        elif len(words) == 2 and words[0] == "bt":
            for coroutine in coroutines():
                if str(coroutine.id) == words[1]:
                    return show(coroutine)
            raise gdb.GdbError(f"no coroutine {words[1]} lives")
        else:
            raise gdb.GdbError("usage: coir list | coir bt ID | coir all")

    def complete(self, text, word):
        return [w for w in ("list", "bt", "all") if w.startswith(word)]


Coir()
