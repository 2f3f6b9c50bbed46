// SPDX-License-Identifier: MIT
// owner.pml - the word of a P: {IDLE | HELD | ASKED | BLOCK, M, epoch}, the notes of two Ms that say
// whether they are inside the runtime, and who takes a P from an M that is outside.
//
// Models sched/p.h, sched/idle.c and sched/handoff.c:
//        [P-TAKE] [P-GIVE] [P-ENTER] [P-BACK] [P-LEAVE] [P-BLOCK] [P-ASK] [P-OUT] [P-STEAL].
// Bound:  1 P, 2 Ms of two stints each, 2 asks, 1 look for a P in BLOCK.
// Memory: an M's stores of its note wait in a store buffer until a locked instruction of its own, a
//         heavy fence of another, or any moment before.
// Claims: plain fields of a P are touched by one M at a time (I1); who comes back to a P that was
//         taken notices (P3); an M that is outside has done all it did inside (P2); a P on the idle
//         list is IDLE.
// Mutants: MUTANT_HEAVY  who asks looks at the note without the heavy fence
//          MUTANT_LIGHT  an M looks at the word before it notes that it is inside
//          MUTANT_ASK    who asks looks at the note first, and asks then
//          MUTANT_STEAL  who asked takes by a store and not by compare-and-swap
//          MUTANT_BACK   an M that was asked answers by a store and not by compare-and-swap
//          MUTANT_ENTER  an M does not look at the word at all
//          MUTANT_LEAVE  the note says outside before the predecessor's parking was finished
//          MUTANT_BLOCK  the note says outside before the word says BLOCK
//          MUTANT_GIVE   the P stands on the idle list before its word says IDLE
mtype = { IDLE, HELD, ASKED, BLOCK };

mtype state = IDLE; // the word: state, m, epoch; written in one step
byte who, epoch;
bool listed = true;     // on the idle list
bool out[2];            // memory: the notes
bool buf[2], buf_val[2]; // their pending stores
byte inside;            // Ms that touch plain fields
byte free_asks = 2;

inline touch() { atomic { inside++; assert(inside == 1) }; inside-- }
inline drain(i) { d_step { if :: buf[i] -> out[i] = buf_val[i]; buf[i] = false :: else fi } }
// In order: the older one first.
inline note(v) { d_step { if :: buf[_pid] -> out[_pid] = buf_val[_pid] :: else fi;
                          buf[_pid] = true; buf_val[_pid] = v } }
#define MINE (who == _pid && epoch == mine)

// An M without P takes it off the idle list, under the idle lock; its note says inside.
inline take_idle() {
    d_step {
        listed = false;
        assert(state == IDLE); // must() of p_take
        if :: buf[_pid] -> out[_pid] = buf_val[_pid]; buf[_pid] = false :: else fi;
        assert(!out[_pid]);
        state = HELD; // [P-TAKE]
        who = _pid;
        epoch++;
        mine = epoch
    }
}

active [2] proctype m() {
    byte stints, mine;
    bool ok;

end_idle:
    do
    :: stints >= 2 -> break
    :: stints < 2 && listed ->
        atomic { if :: listed -> take_idle() :: else -> goto end_idle fi }
user:   stints++;
#ifdef MUTANT_LEAVE
        note(true);
        touch();
#else
        touch(); // finishes the predecessor's parking
        if
        :: note(true) // [P-LEAVE]
        :: true ->
#ifdef MUTANT_BLOCK
            note(true);
            d_step { assert(MINE); state = BLOCK };
#else
            d_step { // [P-BLOCK] a swap
                assert(MINE && (state == HELD || state == ASKED));
                if :: buf[_pid] -> out[_pid] = buf_val[_pid]; buf[_pid] = false :: else fi;
                state = BLOCK
            };
            note(true);
#endif
        fi;
#endif
#ifdef MUTANT_ENTER
        note(false); ok = true;
#else
#ifdef MUTANT_LIGHT
        ok = (state == HELD && MINE);
        note(false);
#else
        note(false); // [P-ENTER]
        ok = (state == HELD && MINE);
#endif
        if
        :: ok -> skip
        :: else ->
#ifdef MUTANT_BACK
            ok = ((state == ASKED || state == BLOCK) && MINE);
            if :: ok -> state = HELD :: else fi
#else
            d_step { // [P-BACK] a compare-and-swap of ASKED, and one of BLOCK
                if :: buf[_pid] -> out[_pid] = buf_val[_pid]; buf[_pid] = false :: else fi;
                ok = (state == ASKED && MINE);
                if :: ok -> state = HELD :: else fi
            }
            if
            :: ok -> skip
            :: else ->
                d_step {
                    ok = ((state == BLOCK || state == HELD) && MINE); // HELD: it was withdrawn
                    if :: ok -> state = HELD :: else fi
                }
            fi
#endif
        fi;
#endif
        if
        :: !ok -> skip // it was taken: on without a P
        :: else ->
            touch();
            if
            :: stints < 2 -> goto user
            :: true ->
                touch(); // timers and queues are left tidy
#ifdef MUTANT_GIVE
                listed = true;
#endif
                d_step { // [P-GIVE] a swap
                    if :: buf[_pid] -> out[_pid] = buf_val[_pid]; buf[_pid] = false :: else fi;
                    assert(MINE && (state == HELD || state == ASKED));
                    state = IDLE; who = 9
                }
                listed = true
            fi
        fi
    od
}

// Sees a stint, and asks for the P at a later look. There is one who asks.
active proctype sysmon() {
    byte seen_who, seen_epoch;
    bool is_out;

end_watch:
    do
    :: free_asks == 0 -> break
    :: atomic { free_asks > 0 && state == HELD -> seen_who = who; seen_epoch = epoch; free_asks-- };
#ifdef MUTANT_ASK
        drain(0); drain(1);
        is_out = out[seen_who];
#endif
        atomic { // [P-ASK]
            if
            :: state == HELD && who == seen_who && epoch == seen_epoch -> state = ASKED
            :: else -> goto end_watch
            fi
        }
#ifndef MUTANT_HEAVY
        drain(0); drain(1);
#endif
#ifndef MUTANT_ASK
        is_out = out[seen_who]; // [P-OUT]
#endif
#ifdef MUTANT_STEAL
        if
        :: is_out -> d_step { state = IDLE; epoch++; who = 9 }; listed = true
#else
        if
        :: is_out ->
            atomic {
                if
                :: state == ASKED && who == seen_who && epoch == seen_epoch ->
                    d_step { state = IDLE; epoch++; who = 9; listed = true } // [P-STEAL]
                :: else
                fi
            }
#endif
        :: else ->
            atomic { // withdrawn
                if
                :: state == ASKED && who == seen_who && epoch == seen_epoch -> state = HELD
                :: else
                fi
            }
        fi
    od
}

// A P in BLOCK is taken without asking.
active proctype spare() {
end_look:
    atomic { state == BLOCK -> state = IDLE; epoch++; who = 9; listed = true }
}

// A store buffer may be seen through at any time.
active proctype memory() {
end_memory:
    do
    :: buf[0] -> drain(0)
    :: buf[1] -> drain(1)
    od
}
