// SPDX-License-Identifier: MIT
// pin.pml - a pinned coroutine is brought home by whoever takes it from a queue, while its home M
// lies down, gives its P to a spare, or is given one by a waker.
//
// Models sched/pin.c (bring_home, hand_on) and sched/idle.c (lie_down, come_out):
//        [PIN-BROUGHT] [PIN-TAKEN].
// Bound:  2 Ps, the home M with three waits of its coroutine, one other M that wakes and brings it,
//         a waker that takes idle Ps for work of its own, one spare.
// Claims: an M never holds two Ps; a P is with one M at a time; the coroutine is never left in 'own'
//         while its M sleeps without being given a P (no dead end); it runs at home only.
// Mutants: MUTANT_OVERLOOK  who lies down does not look at 'own'
//          MUTANT_BLIND     who brings does not look whether home holds a P, and gives its own
//          MUTANT_UNBROKEN  who brings breaks no sleep
//          MUTANT_NEEDED    the home M gives its P away although its coroutine was brought
#define HOME 1
#define OTHER 2
#define SPARE 3
#define IDLE 4  // on the idle list, home M asleep at it

byte holder[2];      // of each P
byte home_p = 2;     // the idle P that the home M sleeps at; 2: none
byte given = 2;      // to the home M; 2: none
bool locked, own, parked, ready, broken;
byte waits;          // of the coroutine, ended
bool over;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }
#ifdef MUTANT_OVERLOOK
#define SEEN false
#else
#define SEEN own
#endif
#define home_has(p) (holder[p] == HOME)
#define HOME_HOLDS (home_has(0) || home_has(1) || given != 2)

init { atomic { holder[0] = HOME; holder[1] = OTHER; run home(); run other() } }

// The coroutine runs, parks; its M passes its P on or lies down, and sleeps.
proctype home() {
    byte p = 0;
    do
    :: waits == 3 -> break
    :: else ->
        assert(p < 2 && holder[p] == HOME); // it runs with a P, on its own thread
        parked = true;
again:
        if
        :: p < 2 && own -> // [PIN-TAKEN]
            own = false; waits++
        :: else ->
            if
            :: p < 2 -> // other work is at hand: hand_on
                lock();
#ifdef MUTANT_NEEDED
                holder[p] = SPARE; p = 2;
#else
                if :: !own -> holder[p] = SPARE; p = 2 :: own fi;
#endif
                unlock()
            :: true -> // lie_down
                lock();
                if
                :: SEEN -> skip // stays up, or comes out at once
                :: !SEEN && p < 2 -> holder[p] = IDLE; home_p = p; p = 2
                :: !SEEN && p == 2 -> skip
                fi;
                unlock();
                if
                :: p < 2 -> skip
                :: else ->
                    broken -> broken = false; // sleeps
                    lock(); // come_out
                    if
                    :: given != 2 ->
                        assert(p == 2);
                        p = given; given = 2; home_p = 2;
                    :: else ->
                        if
                        :: home_p != 2 && holder[home_p] == IDLE ->
                            p = home_p; holder[p] = HOME; home_p = 2
                        :: else -> home_p = 2
                        fi
                    fi;
                    assert(p == 2 || holder[p] == HOME);
                    assert(!(home_has(0) && home_has(1)));
                    unlock()
                fi
            fi;
            goto again
        fi
    od;
    over = true
}

// Wakes the coroutine, takes it from a queue and brings it; now and then takes an idle P, or finds
// that the spare gave one back.
proctype other() {
    byte p = 1, q, breaks;
    do
    :: over -> break
    :: parked && p < 2 ->
        parked = false;
        lock(); // bring_home
        own = true; // [PIN-BROUGHT]
        q = 2;
        if
#ifdef MUTANT_BLIND
        :: true -> q = p; p = 2
#else
        :: HOME_HOLDS -> skip
        :: !HOME_HOLDS && home_p != 2 && holder[home_p] == IDLE -> q = home_p
        :: !HOME_HOLDS && !(home_p != 2 && holder[home_p] == IDLE) -> q = p; p = 2
#endif
        fi;
        if :: q != 2 -> holder[q] = HOME; given = q :: else fi;
        assert(!(home_has(0) && home_has(1)));
        unlock();
#ifndef MUTANT_UNBROKEN
        if :: q != 2 -> broken = true :: else fi
#endif
    :: p == 2 -> // without a P: one that the spare has done with, or an idle one
        lock();
        if
        :: holder[0] == SPARE -> p = 0; holder[0] = OTHER
        :: holder[1] == SPARE -> p = 1; holder[1] = OTHER
        :: holder[0] == IDLE -> p = 0; holder[0] = OTHER
        :: holder[1] == IDLE -> p = 1; holder[1] = OTHER
        :: else
        fi;
        unlock()
    :: p < 2 && breaks < 2 -> // a break for nothing
        breaks++;
        broken = true
    od
}
