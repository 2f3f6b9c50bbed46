// SPDX-License-Identifier: MIT
// owner.pml - the word of a P: {IDLE | RT | USER, M, epoch}, two Ms and who takes a P away.
//
// Models sched/p.h and sched/idle.c: [P-TAKE] [P-GIVE] [P-ENTER] [P-LEAVE]. The one who takes a P
//         from USER is sysmon of design decision 3: it is not in the tree yet, the word is made
//         for it, and the model keeps the word fit for it.
// Bound:  1 P, 2 Ms of three stints each, 2 takes from USER.
// Claims: plain fields of a P are touched by one M at a time (I1); who comes back to a P that was
//         taken notices (P1); USER is the last store before user code (P2); a P on the idle list
//         is IDLE.
// Mutants: MUTANT_ENTER  USER -> RT by a store and not by compare-and-swap
//          MUTANT_LEAVE  USER stored before the predecessor's parking was finished
//          MUTANT_GIVE   the P stands on the idle list before its word says IDLE
// Also:   -DNO_EPOCH: for these claims the epoch is not needed, because the word names the M and
//         an M is in one stint at a time; it is what tells apart the stints of one M.
mtype = { IDLE, RT, USER };

mtype state = IDLE; // the word: state, m, epoch; written in one step
byte who, epoch;
bool listed = true; // on the idle list
byte inside;        // Ms that touch plain fields
byte free_takes = 2;

inline touch() { inside++; assert(inside == 1); inside-- }

// An M without P takes it off the idle list, under the idle lock.
inline take_idle() {
    d_step {
        listed = false;
        assert(state == IDLE);  // must() of p_take
        state = RT;             // [P-TAKE]
        who = _pid;
#ifndef NO_EPOCH
        epoch++;
#endif
        mine = epoch
    }
}

active [2] proctype m() {
    byte stints, mine;
    bool ok;

end_idle:
    do
    :: stints >= 3 -> break
    :: stints < 3 && listed ->
        atomic { if :: listed -> take_idle() :: else -> goto end_idle fi }
user:   stints++;
#ifdef MUTANT_LEAVE
        state = USER;
        touch();
#else
        touch(); // finishes the predecessor's parking
        state = USER; // [P-LEAVE]
#endif
        skip; // user code
#ifdef MUTANT_ENTER
        state = RT; who = _pid; ok = true;
#else
        d_step { // [P-ENTER]
            ok = (state == USER && who == _pid && epoch == mine);
            if :: ok -> state = RT :: else fi
        }
#endif
        if
        :: !ok -> skip // it was taken: on without a P
        :: else ->
            touch();
            if
            :: stints < 3 -> goto user
            :: true ->
                touch(); // timers and queues are left tidy
#ifdef MUTANT_GIVE
                listed = true;
                d_step { state = IDLE; who = 0 }
#else
                d_step { state = IDLE; who = 0 } // [P-GIVE]
                listed = true
#endif
            fi
        fi
    od
}

// Sees a stint, and takes the P from it at a later look.
active proctype sysmon() {
    byte seen_who, seen_epoch;

end_watch:
    do
    :: free_takes == 0 -> break
    :: state == USER ->
        d_step { seen_who = who; seen_epoch = epoch }
        free_takes--;
        atomic {
            if
            :: state == USER && who == seen_who && epoch == seen_epoch ->
                state = IDLE; // [P-TAKE]'s counterpart, epoch + 1
#ifndef NO_EPOCH
                epoch++;
#endif
                who = 0;
                listed = true;
            :: else
            fi
        }
    od
}
