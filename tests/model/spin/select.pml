// SPDX-License-Identifier: MIT
// select.pml - two selects on two channels without a buffer, in opposite order, and a close.
//
// Models sync/select.c and sync/chan.c: trying under all locks, linking a waiter in each queue,
//         the claim [WAIT-CLAIM], taking the other waiters out; coir_chan_close.
// Bound:  select 0 sends on channel 0 and receives from channel 1, select 1 the other way round;
//         two rounds each; one close of channel 0 at any time.
// Claims: both come to their end (no deadlock of locks, no missed meeting, no lost close); a wait is
//         ended once; what one side says of a meeting the other says too; no waiter is linked when a
//         select returns.
// Mutants: MUTANT_ORDER   each locks in the order of its own cases
//          MUTANT_INSTANT the locks are given back between trying and linking
//          MUTANT_CLAIM   whoever meets a waiter does not ask whether its wait is still open
//          MUTANT_UNLINK  the waiters that lost stay in their queues
//          MUTANT_CLOSE   a close forgets those who wait to send
#define ROUNDS 2
#define CLOSED 10

bit lock[2];
bool closed[2];
byte number[2];   // of the wait of each select
bool open[2];     // with number: the ticket
bool linked[4];   // channel * 2 + select: its waiter stands in the queue of its direction
byte ticket[4];   // that this waiter has
byte outcome[2];  // channel + 1, or CLOSED + channel
bool readied[2];
byte sent[2], received[2]; // by channel
byte ended;

inline acquire(c) { atomic { lock[c] == 0 -> lock[c] = 1 } }
inline release(c) { assert(lock[c] == 1); lock[c] = 0 }

inline lock_all() {
#ifdef MUTANT_ORDER
    acquire(me); acquire(1 - me)
#else
    acquire(0); acquire(1)
#endif
}

inline unlock_all() { release(1); release(0) }

// Ends the wait of 'who' if it is that of this ticket; under the channel's lock.
inline claim(who, t, how, won) { // [WAIT-CLAIM]
    d_step {
#ifdef MUTANT_CLAIM
        won = true;
#else
        won = open[who] && number[who] == t;
#endif
        if
        :: won -> assert(open[who] && number[who] == t); open[who] = false; outcome[who] = how
        :: else -> skip
        fi
    }
}

// The case of channel c. got: 0 nothing, else as outcome; met: somebody has to be readied.
inline try(c) {
    if
    :: closed[c] -> got = CLOSED + c
    :: else ->
        if
        :: linked[c * 2 + other] ->
            linked[c * 2 + other] = false;
            claim(other, ticket[c * 2 + other], c + 1, met);
            if :: met -> got = c + 1 :: else -> skip fi
        :: else -> skip
        fi
    fi
}

inline link(c) { linked[c * 2 + me] = true; ticket[c * 2 + me] = number[me] }

inline unlink(c) { acquire(c); linked[c * 2 + me] = false; release(c) }

proctype selects(byte me) {
    byte other, got, round;
    bool met;

    other = 1 - me;
    do
    :: round < ROUNDS ->
        got = 0;
        met = false;
        lock_all();
        if // in random order
        :: true -> try(0); if :: got == 0 -> try(1) :: else -> skip fi
        :: true -> try(1); if :: got == 0 -> try(0) :: else -> skip fi
        fi;
        if
        :: got != 0 ->
            unlock_all();
            if :: met -> readied[other] = true :: else -> skip fi
        :: else ->
#ifdef MUTANT_INSTANT
            unlock_all();
            lock_all();
#endif
            d_step { number[me]++; open[me] = true } // [WAIT-OPEN]
            link(0);
            link(1);
            unlock_all();
            atomic { readied[me] -> readied[me] = false; got = outcome[me] }
            assert(!open[me]);
#ifndef MUTANT_UNLINK
            unlink(0);
            unlink(1);
#endif
        fi;
        assert(!linked[me] && !linked[2 + me]);
        if
        :: got == me + 1 -> sent[me]++
        :: got == other + 1 -> received[other]++
        :: got >= CLOSED -> assert(closed[got - CLOSED])
        fi;
        round++
    :: else -> break
    od;
    ended++
}

inline close_for(who) {
    if
    :: linked[who] ->
        linked[who] = false;
        claim(who, ticket[who], CLOSED, won[who])
    :: else -> skip
    fi
}

proctype closer() {
    bool won[2];

    acquire(0);
    closed[0] = true;
#ifndef MUTANT_CLOSE
    close_for(0); // who waits to send
#endif
    close_for(1); // who waits to receive
    release(0);
    if :: won[0] -> readied[0] = true :: else -> skip fi;
    if :: won[1] -> readied[1] = true :: else -> skip fi;
    ended++
}

init {
    atomic { run selects(0); run selects(1); run closer() }
    timeout;
    assert(ended == 3);
    assert(sent[0] == received[0] && sent[1] == received[1])
}
