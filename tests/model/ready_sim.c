// SPDX-License-Identifier: MIT
// ready_sim - readiness: poll(2), and epoll with level-triggered and one-shot interest.
//
// Events come in no order, sometimes fewer than there are, and a wait may end for a signal.
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/platform.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"

#define EPOLL_ITEMS 64

static struct epoll_item {
    struct file *epoll, *file;
    int fd;
    struct epoll_event event;
    bool off; // one-shot, and it was shot
} items[EPOLL_ITEMS];

void ready_reset(void)
{
    memset(items, 0, sizeof(items));
}

void ready_forget(const struct file *f)
{
    for (int i = 0; i < EPOLL_ITEMS; i++)
        if (items[i].file == f || items[i].epoll == f) items[i].epoll = NULL;
}

bool ready_any(const struct file *epoll)
{
    for (int i = 0; i < EPOLL_ITEMS; i++)
        if (items[i].epoll == epoll && !items[i].off &&
            (uint32_t)file_events(items[i].file) &
                (items[i].event.events | EPOLLERR | EPOLLHUP))
            return true;
    return false;
}

int os_poll(struct pollfd *polled, unsigned n, int64_t deadline)
{
    kernel_call(-1);
    for (;;) {
        int ready = 0;

        for (unsigned i = 0; i < n; i++) {
            struct file *f = file_of(polled[i].fd);
            int events = f ? file_events(f) : POLLNVAL;
            polled[i].revents =
                (short)(events & (polled[i].events | POLLERR | POLLHUP | POLLNVAL));
            if (polled[i].fd < 0) polled[i].revents = 0;
            ready += polled[i].revents != 0;
        }
        if (ready || deadline <= sim.now) return ready;
        if (sim_choose(2, 64)) return 0; // a signal
        sim_block(SIM_KERNEL, NULL, deadline);
    }
}

int os_epoll_open(void)
{
    kernel_call(-1);
    return file_install(file_make(FILE_EPOLL));
}

static struct epoll_item *find_item(struct file *epoll, int fd, struct file *f)
{
    for (int i = 0; i < EPOLL_ITEMS; i++)
        if (items[i].epoll == epoll && items[i].fd == fd && items[i].file == f)
            return &items[i];
    return NULL;
}

int os_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    struct file *e = kernel_call(epfd);
    struct file *f = file_of(fd);

    if (!e || !f) return -EBADF;
    struct epoll_item *item = find_item(e, fd, f);
    if (op == EPOLL_CTL_ADD && item) return -EEXIST;
    if (op != EPOLL_CTL_ADD && !item) return -ENOENT;
    for (int i = 0; !item && i < EPOLL_ITEMS; i++)
        if (!items[i].epoll) item = &items[i];
    if (!item) sim_fail("too many epoll items");
    if (op == EPOLL_CTL_DEL)
        item->epoll = NULL;
    else
        *item = (struct epoll_item){.epoll = e, .file = f, .fd = fd, .event = *event};
    kernel_changed();
    return 0;
}

static int collect(struct file *e, struct epoll_event *events, int n)
{
    int found = 0;
    uint32_t from = sim_choose(EPOLL_ITEMS, 4); // in no order

    for (uint32_t k = 0; k < EPOLL_ITEMS && found < n; k++) {
        struct epoll_item *item = &items[(from + k) % EPOLL_ITEMS];

        if (item->epoll != e || item->off) continue;
        uint32_t is = (uint32_t)file_events(item->file) &
                      (item->event.events | EPOLLERR | EPOLLHUP);
        if (!is) continue;
        events[found++] = (struct epoll_event){.events = is, .data = item->event.data};
        item->off = item->event.events & EPOLLONESHOT;
        if (sim_choose(2, 8)) break;
    }
    return found;
}

int os_epoll_wait(int epfd, struct epoll_event *events, int n, int64_t deadline)
{
    struct file *e = kernel_call(epfd);
    int found;

    if (!e) return -EBADF;
    while (!(found = collect(e, events, n)) && deadline > sim.now) {
        if (sim_choose(2, 64)) return 0; // a signal
        sim_block(SIM_KERNEL, e, deadline);
    }
    return found;
}
