// SPDX-License-Identifier: MIT
// bias.pml - a lock that becomes one thread's, who then takes it by a store, is taken from it, and
// becomes another's.
//
// Models base/bias.h: [BIAS-IN] [BIAS-OUT] [BIAS-TAKE] [BIAS-GONE].
// Bound:  two threads with four sections each, either of which may own it; a stranger of two, who may
//         not. At each section with the lock under it a thread may become the owner. From the start it
//         is nobody's or the first one's.
// Memory: a thread's stores of its note wait in a store buffer until a locked instruction of its own, a
//         heavy fence of another, or any moment before.
// Claims: never two inside; everybody comes to an end.
// Mutants: MUTANT_HEAVY  who comes looks at the owner's note without the heavy fence
//          MUTANT_LIGHT  a thread looks whether it is the owner, and notes then that it is inside
//          MUTANT_GONE   who comes does not wait until the owner has left
//          MUTANT_GRANT  it becomes a thread's behind the lock under it
//          MUTANT_ONE    one note for all who ever own it, and not one for each
#define NOBODY 9

byte thread = NOBODY;     // who owns it; written under the lock
bool inside[2];           // memory: the notes
bool buf[2], buf_val[2];  // their pending stores
bool lock;
byte n_in, ended;

#ifdef MUTANT_ONE
#define NOTE(i) 0
#else
#define NOTE(i) i
#endif

inline drain(i) { d_step { if :: buf[i] -> inside[NOTE(i)] = buf_val[i]; buf[i] = false :: else fi } }
// In order: the older one first.
inline put(v) { d_step { if :: buf[me] -> inside[NOTE(me)] = buf_val[me] :: else fi;
                         buf[me] = true; buf_val[me] = v } }
inline section() { atomic { n_in++; assert(n_in == 1) }; n_in-- }

// With the lock under it held.
inline take_away() {
    owner = thread;
    thread = NOBODY;
#ifndef MUTANT_HEAVY
    drain(0); drain(1); // [BIAS-TAKE]
#endif
#ifndef MUTANT_GONE
    !inside[NOTE(owner)] // [BIAS-GONE]
#endif
}

proctype worker(byte me) {
    byte i, owner;
    bool in;

    do
    :: i == 4 -> break
    :: else ->
        in = false;
        if
        :: thread == me ->
            put(true); // [BIAS-IN]
#ifdef MUTANT_LIGHT
            in = true;
#else
            in = (thread == me);
            if :: in -> skip :: else -> put(false) fi
#endif
        :: else
        fi;
        if
        :: in -> section(); put(false) // [BIAS-OUT]
        :: else ->
            drain(me); // a locked instruction
            atomic { !lock -> lock = true };
            if
            :: thread == NOBODY || thread == me -> skip
            :: else -> take_away()
            fi;
            section();
#ifdef MUTANT_GRANT
            lock = false;
            if :: thread == NOBODY -> thread = me :: else fi
#else
            if :: thread == NOBODY -> thread = me :: true -> skip fi;
            lock = false
#endif
        fi;
        i++
    od;
    drain(me);
    ended++
}

// A store buffer may be seen through at any time.
active proctype memory() {
end_memory:
    do
    :: buf[0] -> drain(0)
    :: buf[1] -> drain(1)
    od
}

proctype stranger() {
    byte i, owner;

    do
    :: i == 2 -> break
    :: else ->
        atomic { !lock -> lock = true };
        if
        :: thread != NOBODY -> take_away()
        :: else
        fi;
        section();
        lock = false;
        i++
    od;
    ended++
}

init {
    atomic {
        if :: thread = 0 :: skip fi;
        run worker(0); run worker(1); run stranger()
    }
    timeout;
    assert(ended == 3)
}
