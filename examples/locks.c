// SPDX-License-Identifier: MIT
// locks - a table that is made once, read by many and written by few, three readers at a time.
#include <coir/go.h>
#include <stdio.h>

enum { READERS = 10, LOOKS = 30, AT_A_TIME = 3 };

static struct {
    coir_once made;
    coir_rwmutex lock; // guards the two below
    int squares[100], written;

    coir_sema room; // units: who may look

    coir_mutex mutex; // guards the three below
    coir_cond finished;
    int looked_up, inside, most, left;
} table; // all zero-filled: ready to use

static void make(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) table.squares[i] = i * i;
    printf("made once");
}

static void note(int in, int looks)
{
    if (coir_mutex_lock(&table.mutex, COIR_FOREVER)) return;
    table.inside += in;
    if (table.inside > table.most) table.most = table.inside;
    table.looked_up += looks;
    if (looks && --table.left == 0) coir_cond_signal(&table.finished);
    coir_mutex_unlock(&table.mutex);
}

static void look(int me)
{
    coir_once_do(&table.made, make, NULL);
    if (coir_sema_acquire(&table.room, 1, COIR_FOREVER)) return;
    note(1, 0);
    for (int i = 0; i < LOOKS; i++) {
        if (coir_rwmutex_rlock(&table.lock, COIR_FOREVER)) return;
        int x = table.squares[me] - me * me;
        coir_rwmutex_runlock(&table.lock);
        if (x || coir_yield()) return;
    }
    if (coir_rwmutex_lock(&table.lock, COIR_FOREVER)) return;
    table.written++;
    coir_rwmutex_unlock(&table.lock);
    note(-1, LOOKS);
    coir_sema_release(&table.room, 1);
}

static int run(void *arg)
{
    int err;

    (void)arg;
    table.left = READERS;
    if ((err = coir_sema_release(&table.room, AT_A_TIME))) return err;
    for (int i = 0; i < READERS; i++)
        if ((err = go(look, i))) return err;
    if ((err = coir_mutex_lock(&table.mutex, COIR_FOREVER))) return err;
    while (table.left > 0 && err == 0)
        err = coir_cond_wait(&table.finished, &table.mutex, coir_after(COIR_SEC * 10));
    printf(", %d at a time at most, %d looked up, %d written\n", table.most,
           table.looked_up, table.written);
    coir_mutex_unlock(&table.mutex);
    return err;
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
