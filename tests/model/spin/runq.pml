// SPDX-License-Identifier: MIT
// runq.pml - the ring of one P: its owner pushes and pops, two thieves steal half.
//
// Models sched/runq.c: [RUNQ-PUBLISH] [RUNQ-LOOK] [RUNQ-TAKE] [RUNQ-ROOM] [RUNQ-NEXT].
// Bound:  ring of 2, counters that start just before their wrap, 4 coroutines, 2 thieves of one
//         attempt each; every push goes to the ring or to 'next', as the model chooses.
// Claims: every coroutine is taken exactly once (by the owner, a thief, or the overflow); no slot
//         is read before it was written; the owner sees the ring in FIFO order (Q1 to Q4).
// Also:   -DCAP=4 -DITEMS=5 -DTHIEVES=1 -DTRIES=2: batches of two
// Mutants: MUTANT_PUBLISH  tail shown before the slot is written (release removed)
//          MUTANT_TAKE     head moved by a store and not by compare-and-swap
//          MUTANT_READ     the thief reads its slots after it moved head (Q3)
//          MUTANT_NEXT     next emptied by load and store and not by swap (Q4)
#ifndef CAP
#define CAP 2
#endif
#ifndef ITEMS
#define ITEMS 4
#endif
#ifndef THIEVES
#define THIEVES 2
#endif
#ifndef TRIES
#define TRIES 1
#endif
#define LEN(h, t) ((t) - (h) & 255)

byte slot[CAP];
byte head = 254, tail = 254; // wrap at 256, and CAP divides that
byte next;                   // 0: nobody
bool seen[ITEMS + 1];
byte n_seen;

inline deliver(v) {
    d_step {
        assert(v != 0);    // a slot was read before it was written
        assert(!seen[v]);  // taken twice
        seen[v] = true;
        n_seen++
    }
}

// ok = CAS(head, h -> h + n)     [RUNQ-TAKE]
inline take(h, n, ok) {
#ifdef MUTANT_TAKE
    ok = (head == h);
    if :: ok -> head = h + n :: else fi
#else
    d_step { ok = (head == h); if :: ok -> head = h + n :: else fi }
#endif
}

// v = swap(next, put)            [RUNQ-NEXT]
inline swap_next(put, v) {
#ifdef MUTANT_NEXT
    v = next;
    next = put
#else
    d_step { v = next; next = put }
#endif
}

active proctype owner() {
    byte i = 1, h, v, older, old2, newest;
    bool ok;

    do
    :: i <= ITEMS ->
        v = i;
        i++;
        if
        :: true
        :: true ->
            older = v;
            swap_next(older, v); // the one who was there goes to the ring
        fi;
        if
        :: v == 0
        :: else ->
push:       h = head; // [RUNQ-ROOM]
            if
            :: LEN(h, tail) < CAP ->
#ifdef MUTANT_PUBLISH
                tail = tail + 1;
                slot[(tail + 255) % CAP] = v
#else
                slot[tail % CAP] = v;
                tail = tail + 1 // [RUNQ-PUBLISH]
#endif
            :: else -> // full: the older half and v overflow, in order
                older = slot[h % CAP];
                old2 = slot[(h + 1) % CAP];
                take(h, CAP / 2, ok);
                if
                :: ok ->
                    deliver(older);
                    if :: CAP == 4 -> deliver(old2) :: else fi;
                    deliver(v)
                :: else -> goto push
                fi
            fi
        fi
    :: true -> // pop, at any time
pop:    h = head;
        if
        :: h == tail -> if :: i > ITEMS -> break :: else fi
        :: else ->
            v = slot[h % CAP];
            take(h, 1, ok);
            if
            :: ok -> deliver(v)
            :: else -> goto pop
            fi
        fi
    od;
    swap_next(0, v);
    if :: v -> deliver(v) :: else fi
}

active [THIEVES] proctype thief() {
    byte tries, h, t, n, a, b;
    bool ok;

    do
    :: tries == TRIES -> break
    :: else ->
        tries++;
        h = head;  // [RUNQ-ROOM], before tail
        t = tail;  // [RUNQ-LOOK]
        n = LEN(h, t) - LEN(h, t) / 2;
        if
        :: n == 0 ->
            swap_next(0, a);
            if :: a -> deliver(a) :: else fi
        :: n > CAP / 2 // head and tail of two moments: look again
        :: else ->
#ifdef MUTANT_READ
            take(h, n, ok);
            a = slot[h % CAP];
            b = slot[(h + 1) % CAP];
#else
            a = slot[h % CAP];
            b = slot[(h + 1) % CAP];
            take(h, n, ok);
#endif
            if
            :: ok ->
                deliver(a);
                if :: n == 2 -> deliver(b) :: else fi
            :: else
            fi
        fi
    od
}

// When nobody can move any more everything was taken.
active proctype judge() {
    timeout;
    assert(n_seen == ITEMS)
}
