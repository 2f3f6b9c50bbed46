// SPDX-License-Identifier: MIT
// handmade - small scenes: two to a dozen coroutines, two or three workers, one question each.
#pragma once

void scene_park_ready(void);
void scene_timed_then_untimed(void);
void scene_spawn_tree(void);
void scene_sleepers(void);
void scene_stop_while_parked(void);
void scene_queue_overflow(void);
void scene_hog(void);
void scene_short_of_memory(void);
