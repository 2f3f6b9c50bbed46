// SPDX-License-Identifier: MIT
// sleep.pml - workers go to sleep while work is pushed: decision 10, with store buffers.
//
// Models sched/idle.c and netpoll/netpoll.c: [WAKE-FENCE] [IDLE-FENCE] [SPIN-CLAIM] [SPIN-END]
//         [POLLER-ANNOUNCE] [POLLER-BREAK] [POLLER-NOTIFIED] [POLLER-AWAKE].
// Bound:  2 producers of one coroutine each, 2 workers.
// Also:   -DFIRST=0 -DTIMER=1: 1 producer, and each worker has a timer that may end a sleep
// Memory: what a side wrote before its fence waits in a store buffer: a pusher's publication; a
//         worker's announcement (idle list, count) and, behind it, its leaving of the spinners.
//         Buffers drain at a fence, before a system call, or when the call ends: as late as can
//         be, the earlier moments are the same as a fence that comes earlier. Locks and
//         read-modify-writes do not drain them: less than x86 promises, as much as C11 does.
// Claims: when nothing can move any more, no work is left, no P was given to an M that sleeps, and
//         nobody is counted as spinning (W1 to W3); a break that comes before the sleep is kept.
// Mutants: MUTANT_WAKE_FENCE  the pusher looks for sleepers while its work is in the buffer
//          MUTANT_IDLE_FENCE  the worker looks for work while its announcement is in the buffer
//          MUTANT_SPIN        the last spinner sleeps without a last look (W2)
//          MUTANT_AGAIN       what the last look finds is taken as by one who does not spin
//          MUTANT_FAILED      a pusher that counted itself and found nobody to wake goes away
//          MUTANT_BREAK       a break that finds the M awake leaves no mark
//          MUTANT_W3          who finds work while spinning wakes nobody
#define N 2     // workers
#ifndef TIMER
#define TIMER 0
#endif
#ifndef FIRST
#define FIRST 1 // coroutines of the first producer
#endif
#define ALL (FIRST + 1)

mtype = { RUNS, SLEEPS, NOTIFIED };

byte work;             // published
byte on_list;          // idle Ps, a bit each; guarded by the idle lock
byte n_idle;           // what pushers look at
byte n_spinning;
mtype poller[N] = RUNS;
byte token[N];         // the eventfd
bool given[N];         // a waker took this M's P for it
#ifdef MUTANT_BREAK
bool asleep[N];
#endif
byte done;

// ---- Store buffers -------------------------------------------------------------------------

bool pub[2 + N];       // a publication in the buffer of producer or worker i
bool ann[N];           // an announcement
bool off[N];           // "I spin no more"

inline drain_pub(i) { atomic { if :: pub[i] -> work++; pub[i] = false :: else fi } }

inline drain_sleep(w) {
    atomic {
        if
        :: ann[w] ->
            on_list = on_list | (1 << w);
            n_idle++;
            ann[w] = false
        :: else
        fi;
        if :: off[w] -> n_spinning--; off[w] = false :: else fi
    }
}

// ---- Waking ----------------------------------------------------------------------------------

// Takes an idle P, gives it to its M, breaks that one's sleep.
inline wake_one(v) {
    v = N;
    d_step { // the idle lock
        if
        :: on_list & 1 -> v = 0
        :: !(on_list & 1) && (on_list & 2) -> v = 1
        :: else
        fi;
        if
        :: v < N -> on_list = on_list & ~(1 << v); n_idle--; given[v] = true
        :: else
        fi
    }
    if
    :: v == N -> n_spinning-- // [SPIN-END]: nobody to wake, see [SPIN-FAILED]
    :: else ->
        d_step { // [POLLER-BREAK]
#ifdef MUTANT_BREAK
            if :: poller[v] == SLEEPS && asleep[v] -> token[v] = 1; poller[v] = NOTIFIED :: else fi
#else
            if :: poller[v] == SLEEPS -> token[v] = 1 :: else fi;
            poller[v] = NOTIFIED
#endif
        }
    fi
}

inline idle_wake(i, v) {
    do
    :: true ->
#ifndef MUTANT_WAKE_FENCE
        drain_pub(i); // [WAKE-FENCE]
#endif
        if :: n_idle == 0 -> break :: else fi;
        if :: n_spinning != 0 -> break :: else fi;
        d_step { // [SPIN-CLAIM]
            v = N + 1;
            if :: n_spinning == 0 -> n_spinning = 1; v = 0 :: else fi
        }
        if :: v == N + 1 -> break :: else fi;
        wake_one(v);
#ifdef MUTANT_FAILED
        break
#else
        if // [SPIN-FAILED]: off the count, now look once more
        :: v < N || work == 0 -> break
        :: else
        fi
#endif
    od;
    atomic { drain_pub(i); v = 0 }
}

proctype producer(byte i; byte each) {
    byte k, v;

    do
    :: k == each -> break
    :: else ->
        pub[i] = true;
        idle_wake(i, v);
        k++
    od
}

// ---- Sleeping --------------------------------------------------------------------------------

proctype worker(byte w) {
    bool spinning, found, timer = TIMER;
    byte v;

find:
    skip;
    d_step { found = (work > 0); if :: found -> work-- :: else fi }
    if
    :: found ->
        if
        :: spinning ->
            spinning = false;
            d_step { n_spinning--; v = (n_spinning == 0) } // [SPIN-END]
#ifndef MUTANT_W3
            if :: v -> idle_wake(2 + w, v) :: else fi
#endif
        :: else
        fi;
        // W3: a coroutine may hold its worker until another one ran: here every second waits for
        // one more to be done, so that work which nobody was woken for shows as a dead end.
        done++;
        if
        :: done % 2 == 1 && done < ALL ->
            v = done;
hold:       (done > v || work == 0)
        :: else
        fi;
        v = 0;
        goto find
    :: else
    fi;

    if // looks at others' once more, unless too many do
    :: !spinning && 2 * n_spinning < N - n_idle ->
        spinning = true;
        n_spinning++; // [SPIN-CLAIM]
        goto find
    :: else
    fi;

    d_step { if :: poller[w] == RUNS -> poller[w] = SLEEPS :: else fi } // [POLLER-ANNOUNCE]
    d_step { // [SPIN-END] behind the announcement
        ann[w] = true;
        if :: spinning -> off[w] = true; spinning = false :: else fi
    }
#ifndef MUTANT_IDLE_FENCE
    drain_sleep(w); // [IDLE-FENCE]
#endif
#ifdef MUTANT_SPIN
    found = false;
#else
    found = (work > 0);
#endif
    drain_sleep(w); // before the system call
    if
    :: found || poller[w] == NOTIFIED -> // [POLLER-NOTIFIED]
        token[w] = 0
    :: else ->
#ifdef MUTANT_BREAK
        asleep[w] = true;
#endif
end_sleep:
        if
        :: token[w] > 0 -> token[w] = 0
        :: timer -> timer = false
        fi;
#ifdef MUTANT_BREAK
        asleep[w] = false
#endif
    fi;
    poller[w] = RUNS; // [POLLER-AWAKE]

    d_step { // take_back, under the idle lock
        if
        :: given[w] -> given[w] = false; spinning = true
        :: else ->
            on_list = on_list & ~(1 << w);
            n_idle--;
#ifndef MUTANT_AGAIN
            // [SPIN-CLAIM]: those who pushed while this one span woke nobody
            if :: found -> spinning = true; n_spinning++ :: else fi
#endif
        fi;
        found = false
    }
    goto find
}

init {
    atomic { run producer(0, FIRST); run producer(1, 1); run worker(0); run worker(1) }
    timeout;
    assert(work == 0 && done == ALL);
    assert(!given[0] && !given[1]);
    assert(n_spinning == 0)
}
