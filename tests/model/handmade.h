// SPDX-License-Identifier: MIT
// handmade - small scenes: two to a dozen coroutines, two or three workers, one question each.
#pragma once

#include <stdint.h>

void scene_park_ready(void);
void scene_looks_inside(void);
void scene_timed_then_untimed(void);
void scene_spawn_tree(void);
void scene_sleepers(void);
void scene_crowd(void);
void scene_stop_while_parked(void);
void scene_queue_overflow(void);
void scene_hog(void);
void scene_fed(void);
void scene_short_of_memory(void);

void scene_hogs_everywhere(void);
void scene_a_hog_tells_another(void);
void scene_in_flight_behind_a_hog(void);
void scene_hogs_come_and_go(void);
void scene_stalls_are_told(void);
void scene_ticks_beside_naps(void);
void scene_caps(void);
void scene_threads_that_fail(void);

void scene_ping_pong(void);
void scene_thread_and_coroutine(void);
void scene_chan_ledger(void);
void scene_close_wakes_all(void);
void scene_close_is_for_all(void);
void scene_waitgroup(void);
void scene_mutex(void);

void scene_semaphore(void);
void scene_rwmutex(void);
void scene_condition(void);
void scene_broadcast(void);
void scene_front_gives_up(void);
void scene_once(void);
void scene_freed_locks(void);

void scene_select_ledger(void);
void scene_selects_meet(void);
void scene_select_one_instant(void);
void scene_select_closed(void);
void scene_select_canceled(void);
void scene_timer(void);

void scene_socket_echo(void);
void scene_cancel_or_completion(void);
void scene_thread_reads(void);
void scene_close_at_once(void);
void scene_deadline_in_silence(void);
void scene_close_and_reuse(void);
void scene_close_or_read(void);
void scene_stop_while_reading(void);
void scene_server(void);

void scene_survivor(void);
void scene_spawns_while_stopping(void);
void scene_three_lives(void);
void scene_two_runtimes(void);
void scene_ready_while_stopping(void);
void scene_poor(void);
void scene_stacks_come_back(void);

void scene_thread_is_closed(void);
void scene_two_closes(void);
void scene_reads_files(void);
void scene_file_is_closed(void);
void scene_number_goes_on(void);
void scene_turns(void);
void scene_poll(void);
void scene_name(void);

void scene_blocking(void);
void scene_no_helpers(void);
void scene_blocking_pipe(void);

void scene_scope_tree(void);
void scene_scope_cancel_or_value(void);
void scene_scope_turnstile(void);
void scene_scope_reading(void);
void scene_scope_left_open(void);
void scene_scope_of_a_thread(void);

void scene_pinned_among_others(void);
void scene_pinned_without_threads(void);
void scene_pinned_ping_pong(void);
void scene_pinned_canceled(void);

void scene_hooks(void);

void scene_run_stuck(void);
void scene_run_not_stuck(void);
void scene_run_fed_by_a_thread(void);
void scene_run_starved_by_a_thread(void);
void scene_run_helped(void);
void scene_run_seeded(void);

void scene_hosted_is_woken(void);
void scene_hosted_echo(void);
void scene_hosted_is_stopped(void);

// Grows a tree of scopes with 'width' children each, on a coroutine, and checks it.
void scope_tree_grow(uint32_t depth, uint32_t width);

void scene_generated(void); // generate.c
