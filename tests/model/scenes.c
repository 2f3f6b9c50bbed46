// SPDX-License-Identifier: MIT
#include "tests/model/scenes.h"

#include <string.h>

#include "tests/model/handmade.h"
#include "tests/model/toys.h"

const struct scene scenes[] = {
    {"toy_dekker", toy_dekker, SCENE_TOY},
    {"toy_dekker_unfenced", toy_dekker_unfenced, SCENE_TOY | SCENE_FAILS},
    {"toy_torn_wait", toy_torn_wait, SCENE_TOY | SCENE_FAILS},
    {"toy_parker", toy_parker, SCENE_TOY},
    {"toy_lock", toy_lock, SCENE_TOY},
    {"toy_bias", toy_bias, SCENE_TOY},
    {"toy_runq", toy_runq, SCENE_TOY},
    {"toy_fresh", toy_fresh, SCENE_TOY},
    {"toy_clock", toy_clock, SCENE_TOY},
    {"park_ready_race", scene_park_ready, 0},
    {"timed_then_untimed", scene_timed_then_untimed, 0},
    {"spawn_tree", scene_spawn_tree, 0},
    {"sleepers", scene_sleepers, 0},
    {"stop_while_parked", scene_stop_while_parked, 0},
    {"queue_overflow", scene_queue_overflow, 0},
    {"a_hog_loses_its_queue", scene_hog, 0},
    {"hogs_everywhere", scene_hogs_everywhere, 0},
    {"in_flight_behind_a_hog", scene_in_flight_behind_a_hog, 0},
    {"hogs_come_and_go", scene_hogs_come_and_go, 0},
    {"threads_that_fail", scene_threads_that_fail, 0},
    {"short_of_memory", scene_short_of_memory, 0},
    {"ping_pong", scene_ping_pong, 0},
    {"thread_and_coroutine", scene_thread_and_coroutine, 0},
    {"chan_ledger", scene_chan_ledger, 0},
    {"close_wakes_all", scene_close_wakes_all, 0},
    {"waitgroup", scene_waitgroup, 0},
    {"mutex", scene_mutex, 0},
    {"semaphore", scene_semaphore, 0},
    {"rwmutex", scene_rwmutex, 0},
    {"condition", scene_condition, 0},
    {"broadcast", scene_broadcast, 0},
    {"front_gives_up", scene_front_gives_up, 0},
    {"once", scene_once, 0},
    {"freed_locks", scene_freed_locks, 0},
    {"select_ledger", scene_select_ledger, 0},
    {"selects_meet", scene_selects_meet, 0},
    {"select_closed", scene_select_closed, 0},
    {"select_canceled", scene_select_canceled, 0},
    {"timer", scene_timer, 0},
    {"socket_echo", scene_socket_echo, 0},
    {"cancel_or_completion", scene_cancel_or_completion, 0},
    {"thread_reads", scene_thread_reads, 0},
    {"deadline_in_silence", scene_deadline_in_silence, 0},
    {"close_and_reuse", scene_close_and_reuse, 0},
    {"close_or_read", scene_close_or_read, 0},
    {"close_at_once", scene_close_at_once, 0},
    {"stop_while_reading", scene_stop_while_reading, 0},
    {"server", scene_server, 0},
    {"thread_is_closed", scene_thread_is_closed, 0},
    {"two_closes", scene_two_closes, 0},
    {"turns", scene_turns, 0},
    {"poll", scene_poll, 0},
    {"name", scene_name, 0},
    {"blocking", scene_blocking, 0},
    {"no_helpers", scene_no_helpers, 0},
    {"blocking_pipe", scene_blocking_pipe, 0},
    {"survivor", scene_survivor, 0},
    {"spawns_while_stopping", scene_spawns_while_stopping, 0},
    {"three_lives", scene_three_lives, 0},
    {"two_runtimes", scene_two_runtimes, 0},
    {"ready_while_stopping", scene_ready_while_stopping, 0},
    {"poor", scene_poor, 0},
    {"looks_inside", scene_looks_inside, 0},
    {"stacks_come_back", scene_stacks_come_back, 0},
    {"scope_tree", scene_scope_tree, 0},
    {"scope_cancel_or_value", scene_scope_cancel_or_value, 0},
    {"scope_turnstile", scene_scope_turnstile, 0},
    {"scope_reading", scene_scope_reading, 0},
    {"scope_left_open", scene_scope_left_open, 0},
    {"scope_of_a_thread", scene_scope_of_a_thread, 0},
    {"run_stuck", scene_run_stuck, 0},
    {"run_not_stuck", scene_run_not_stuck, 0},
    {"run_fed_by_a_thread", scene_run_fed_by_a_thread, 0},
    {"run_starved_by_a_thread", scene_run_starved_by_a_thread, 0},
    {"run_helped", scene_run_helped, 0},
    {"generated", scene_generated, 0},
};
const unsigned n_scenes = sizeof(scenes) / sizeof(scenes[0]);

const struct scene *scene_find(const char *name)
{
    for (unsigned i = 0; i < n_scenes; i++)
        if (strcmp(scenes[i].name, name) == 0) return &scenes[i];
    return NULL;
}
