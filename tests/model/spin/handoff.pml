// SPDX-License-Identifier: MIT
// handoff.pml - a P is taken from a stuck thread, whose poller others serve meanwhile; its thread
// comes back at any moment, and the pump's signal hits it at any moment.
//
// Models sched/handoff.c, netpoll/netpoll.c (lending), base/platform_pump.c (the handler):
//        [P-ENTER] [P-BACK] [P-ASK] [P-STEAL] [P-LEAVE] [PUMP-LEND] [PUMP-OPEN]; owner.pml has the
//        store buffers of these.
// Bound:  1 P, the stuck M with four calls, sysmon with two takes, serving and pumping between them.
// Claims: the poller's plain fields are touched by one at a time; the handler never enters the ring
//         while its own thread is in the middle of its poller; a P is inside one M at a time; an
//         operation that finished is made ready by somebody before all are through.
// Mutants: MUTANT_LOCKLESS  the owner reclaims its poller without the lock
//          MUTANT_NORECLAIM the owner touches its poller although the entry failed
//          MUTANT_LATELEND  the taker lends the poller after it gave the lock back
//          MUTANT_ANYHOW    the taker lends although its compare-and-swap failed
//          MUTANT_OPEN      the handler does not look whether its box is open
//          MUTANT_NOSERVE   nobody serves a lent poller
mtype = { IDLE, HELD, ASKED };

mtype state = HELD; // the word; 'mine' is the epoch of the stuck M's stint
bool out = true;    // that M's note
byte epoch, mine;
bool reap, lent, box_open, sent;
byte touching;       // who is in the middle of the poller
bool owner_touching;
byte inside;         // Ms that are inside on this P
byte finished = 1;   // operations that the kernel has done with, for the owner to bring
byte in_cq, ready;
bool over;

inline lock() { atomic { !reap -> reap = true } }
inline unlock() { reap = false }
inline touch() { touching++; assert(touching == 1); ready = ready + in_cq; in_cq = 0; touching-- }

// The handler runs on the owner's thread, between two of its steps.
inline maybe_signal() {
    if
    :: sent ->
        d_step {
#ifdef MUTANT_OPEN
            assert(!owner_touching); in_cq = in_cq + finished; finished = 0;
#else
            if
            :: box_open -> assert(!owner_touching); in_cq = in_cq + finished; finished = 0
            :: else
            fi;
#endif
            sent = false
        }
    :: true
    fi
}

// What an owner does to its poller: it enters the kernel itself.
inline owner_touch() {
    owner_touching = true;
    maybe_signal();
    in_cq = in_cq + finished; finished = 0;
    touch();
    owner_touching = false
}

active proctype owner() {
    byte calls;
    bool ok, has = true;

    do
    :: calls < 4 ->
        calls++;
        maybe_signal(); // user code
        ok = false;
        if
        :: has ->
            out = false; // [P-ENTER]
            ok = (state == HELD && epoch == mine);
            if
            :: ok -> skip
            :: else ->
                d_step { // [P-BACK]
                    ok = (state != IDLE && epoch == mine);
                    if :: ok -> state = HELD :: else -> has = false fi
                }
            fi
        :: else
        fi;
        if
        :: ok ->
            inside++; assert(inside == 1);
            owner_touch();
            inside--;
            out = true // [P-LEAVE]
        :: else ->
            if
            :: skip // a call that need not wait: it stays away
            :: true -> // a call that waits
#ifndef MUTANT_NORECLAIM
#ifndef MUTANT_LOCKLESS
                lock();
#endif
                lent = false; box_open = false;
#ifndef MUTANT_LOCKLESS
                unlock();
#endif
#endif
                owner_touch();
                if
                :: atomic { state == IDLE -> state = HELD; epoch++; mine = epoch }; // [P-TAKE]
                    has = true;
                    inside++; assert(inside == 1); inside--;
                    out = true
                :: true -> skip // no idle P: sleeps as a spare, is away no more, begins again
                fi
            fi
        fi
    :: calls == 4 -> break
    od;
    // Stuck for good now, or at rest.
    do
    :: over -> break
    :: sent -> maybe_signal()
    od
}

active proctype sysmon() {
    byte takes, looks, seen;
    bool ok;

    do
    :: looks < 6 ->
        looks++;
        if
        :: atomic { takes < 2 && state == HELD && out -> seen = epoch; takes++ };
            d_step { // [P-ASK]
                ok = (state == HELD && epoch == seen);
                if :: ok -> state = ASKED :: else fi
            }
            if
            :: ok && !out -> // it came meanwhile: withdrawn
                d_step { if :: state == ASKED && epoch == seen -> state = HELD :: else fi }
            :: else
            fi;
            lock();
#ifdef MUTANT_ANYHOW
            lent = true; box_open = true;
#endif
            d_step { // [P-STEAL]
                ok = (state == ASKED && epoch == seen);
                if :: ok -> state = IDLE; epoch++ :: else fi
            }
#ifdef MUTANT_LATELEND
            unlock();
            if :: ok -> lent = true; box_open = true :: else fi;
#else
            if :: ok -> lent = true; box_open = true /* [PUMP-LEND] */ :: else fi;
            unlock();
#endif
        :: true
        fi;
#ifndef MUTANT_NOSERVE
        lock();
        if
        :: lent ->
            touch();
            if :: finished -> sent = true :: else fi
        :: else
        fi;
        unlock()
#endif
    :: looks == 6 -> break
    od;
    // From here on it looks as long as something is lent and in flight: at the end nothing stands.
#ifndef MUTANT_NOSERVE
    do
    :: !lent || ready == 1 -> break
    :: lent && ready == 0 ->
        lock();
        if
        :: lent -> touch(); if :: finished -> sent = true :: else fi
        :: else
        fi;
        unlock()
    od;
#endif
    assert(!lent || ready == 1);
    over = true
}
