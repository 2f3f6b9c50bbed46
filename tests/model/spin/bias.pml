// bias.pml - a lock that one thread takes by a store, and two others that take it away.
//
// Models base/bias.h: [BIAS-IN] [BIAS-OUT] [BIAS-TAKE] [BIAS-GONE].
// Bound:  its thread with three sections, two strangers of two each.
// Memory: the stores of its thread wait in a store buffer until a fence of its own (the swap of the
//         lock under it), a heavy fence of another, or any moment before; those of the strangers
//         are visible at their heavy fence.
// Claims: never two inside; everybody comes to an end.
// Mutants: MUTANT_HEAVY  a stranger looks at 'inside' without the heavy fence
//          MUTANT_LIGHT  its thread looks at 'taken' before it stores 'inside'
//          MUTANT_GONE   a stranger does not wait until its thread has left
bool inside, taken;   // memory
bool buf, buf_val;    // its thread's pending store of 'inside'
bool lock;
byte n_in, ended;

inline drain() { atomic { if :: buf -> inside = buf_val; buf = false :: else fi } }
inline put(v) { drain(); atomic { buf_val = v; buf = true } } // in order: the older one first
inline section() { n_in++; assert(n_in == 1); n_in-- }
inline take_lock() { atomic { !lock -> lock = true } }

active proctype its_thread() {
    byte i;
    bool saw;

    do
    :: i == 3 -> break
    :: else ->
#ifdef MUTANT_LIGHT
        saw = taken;
        put(true); // [BIAS-IN]
#else
        put(true); // [BIAS-IN]
        saw = taken;
#endif
        if
        :: !saw -> section(); put(false) // [BIAS-OUT]
        :: else ->
            put(false);
            drain(); take_lock(); // a locked instruction
            section();
            lock = false
        fi;
        i++
    od;
    drain();
    ended++
}

// The store buffer may be seen through at any time.
active proctype memory() {
end_memory:
    do
    :: buf -> drain()
    od
}

active [2] proctype stranger() {
    byte i;

    do
    :: i == 2 -> break
    :: else ->
        take_lock();
        if
        :: !taken ->
#ifdef MUTANT_HEAVY
            if :: true -> taken = true :: true -> skip fi; // or later
#else
            atomic { taken = true; if :: buf -> inside = buf_val; buf = false :: else fi }
            // [BIAS-TAKE]
#endif
#ifndef MUTANT_GONE
            !inside; // [BIAS-GONE]
#endif
            taken = true
        :: else
        fi;
        section();
        lock = false;
        i++
    od;
    ended++
}

active proctype judge() {
    timeout;
    assert(ended == 3)
}
