// SPDX-License-Identifier: MIT
// park.pml - one coroutine waits three times; a waker, a deadline and a cancel race to end it.
//
// Models sched/g.h and sched/park.c: [WAIT-OPEN] [WAIT-CLAIM] [G-READY] [G-READY-PARKED] [G-COMMIT]
//         [G-MARK-SEEN]
//         [CANCEL-SET] [CANCEL-STATE] [CANCEL-LOOK].
// Bound:  2 Ms, 1 coroutine; wait 1 has a waker and a deadline, wait 2 a waker alone (a timed wait
//         and then an untimed one: the deadline may come late), wait 3 nothing but the cancel,
//         which may come at any time.
// Claims: every wait ends once, by a claim that was meant for it (I3a); the coroutine is queued in one place at most (I3) and runs on one
//         M at most, on a stack that was left (I4); it always comes to its end.
// Mutants: MUTANT_EARLY   who readies a PARKING coroutine queues it itself
//          MUTANT_MARK    the successor stores PARKED and does not look for the mark
//          MUTANT_TICKET  a claim asks whether a wait is open, not which
//          MUTANT_LOOK    the successor does not look at the cancel flag
//          MUTANT_SET     the canceller looks at the state before its flag is visible
#define WAITS 3
mtype = { DEAD, RUNNABLE, RUNNING, PARKING, PARKED };

mtype state = RUNNABLE;
byte number;        // of the wait
bool open;          // with number: the ticket
bool canceled;
byte ended;         // waits that were ended by a claim
byte on_stack;      // Ms on the coroutine's stack
chan queue = [2] of { bit };
chan waker_q = [1] of { byte };  // the object's queue of waiters: the ticket
chan timer_q = [1] of { byte };  // the heap of timers: the ticket

inline claim(ticket, won) { // [WAIT-CLAIM]
    d_step {
#ifdef MUTANT_TICKET
        won = open;
#else
        won = open && number == ticket;
#endif
        if :: won -> open = false; ended++; assert(ended == number && number == ticket) :: else fi
    }
}

inline enqueue() { assert(empty(queue)); queue!1 }

inline ready(was) { // [G-READY]
    was = state; // [G-READY-PARKED]
    if
    :: was == PARKED -> state = RUNNABLE
    :: else -> d_step { was = state; state = RUNNABLE }
    fi;
    assert(was == PARKED || was == PARKING);
#ifdef MUTANT_EARLY
    enqueue()
#else
    if :: was == PARKED -> enqueue() :: else fi
#endif
}

active [2] proctype m() {
    mtype was;
    bool won;
    byte ticket;

end_idle:
    do
    :: queue?_ ->
        assert(state == RUNNABLE);
        on_stack++;
        assert(on_stack == 1); // I4
        state = RUNNING;
go_on:  if
        :: number == WAITS -> state = DEAD; on_stack--; goto over
        :: else
        fi;
        ticket = number + 1;
        state = PARKING;
        d_step { number = ticket; open = true } // [WAIT-OPEN]
        if :: ticket < 3 -> waker_q!ticket :: else fi;
        if :: ticket == 1 -> timer_q!ticket :: else fi;
        if
        :: state == RUNNABLE -> // [G-MARK-SEEN]
            assert(!open);
            state = RUNNING;
            goto go_on
        :: true // the look came too early
        fi;
        on_stack--; // registers saved; the successor runs on another stack
#ifdef MUTANT_MARK
        was = PARKING;
        state = PARKED;
#else
        d_step { was = state; if :: was == PARKING -> state = PARKED :: else fi } // [G-COMMIT]
#endif
        if
        :: was == RUNNABLE -> enqueue()
        :: else ->
#ifndef MUTANT_LOOK
            if // [CANCEL-LOOK]
            :: canceled ->
                claim(ticket, won);
                if :: won -> ready(was) :: else fi
            :: else
            fi
#else
            skip
#endif
        fi
    od;
over: skip
}

active proctype waker() {
    byte ticket;
    bool won;
    mtype was;

end_waker:
    do
    :: waker_q?ticket ->
        claim(ticket, won);
        if :: won -> ready(was) :: else fi
    od
}

active proctype deadline() {
    byte ticket;
    bool won;
    mtype was;

    timer_q?ticket;
    claim(ticket, won);
    if :: won -> ready(was) :: else fi
}

active proctype canceller() {
    byte ticket;
    bool won;
    mtype was;
    bool parked;

#ifdef MUTANT_SET
    parked = (state == PARKED);
    ticket = number;
    canceled = true;
#else
    canceled = true;            // [CANCEL-SET]
    parked = (state == PARKED); // [CANCEL-STATE]
    ticket = number;
#endif
    if
    :: parked ->
        claim(ticket, won);
        if :: won -> ready(was) :: else fi
    :: else
    fi
}

active proctype judge() {
    queue!1; // the spawn
    timeout;
    assert(state == DEAD);
    assert(ended == WAITS)
}
