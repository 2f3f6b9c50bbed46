// SPDX-License-Identifier: MIT
// confine RULE... -- PROGRAM ARGS: runs a program where the kernel refuses things.
//
//     docker             as Docker's default profile: io_uring and others EPERM, clone3 ENOSYS
//     refuse=CALL:ERRNO  this system call fails so
//     no-ring-mmap       a ring's queues cannot be mapped: ENOMEM
//     nofile=N  nproc=N  memlock=N  as=MIB  stack=MIB     the limit (stack=0: none)
//     uid=N              as another user (root is beyond some limits)
//
// Filters are the kernel's own seccomp. What cannot be set up here ends with 77.
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define RING_SQES 0x10000000u // IORING_OFF_SQES

// Beyond this list the profile refuses only what x86-64 does not have.
static const char *const in_docker[] = {
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "acct",
    "add_key",
    "bpf",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_mempolicy",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "mount",
    "move_mount",
    "move_pages",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "quotactl",
    "reboot",
    "request_key",
    "set_mempolicy",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
    "chroot",
};

static void must(int err, const char *what)
{
    if (err == 0) return;
    printf("skipped: %s: %s\n", what, strerror(err < 0 && err > -4096 ? -err : errno));
    exit(77);
}

static void refuse(scmp_filter_ctx filter, const char *name, int err)
{
    int call = seccomp_syscall_resolve_name(name);

    if (call == __NR_SCMP_ERROR) return; // this libseccomp does not know it
    must(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)err), call, 0), name);
}

static void as_docker(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof(in_docker) / sizeof(in_docker[0]); i++)
        refuse(filter, in_docker[i], EPERM);
    refuse(filter, "clone3",
           ENOSYS); // its flags cannot be seen: libc falls back to clone
    must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                          SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)),
         "clone");
    must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1,
                          SCMP_A0(SCMP_CMP_EQ, 0x0040000, 0)),
         "personality");
}

static void limit(__rlimit_resource_t which, const char *value, rlim_t unit)
{
    rlim_t n = (rlim_t)strtoul(value, NULL, 0) * unit;
    struct rlimit both = {n, n};

    if (which == RLIMIT_STACK && n == 0) both.rlim_cur = both.rlim_max = RLIM_INFINITY;
    must(setrlimit(which, &both), "setrlimit");
}

// What follows 'name' in rule, or NULL.
static const char *value_of(const char *rule, const char *name)
{
    size_t n = strlen(name);

    return strncmp(rule, name, n) == 0 ? rule + n : NULL;
}

static void apply(scmp_filter_ctx filter, const char *rule)
{
    const char *value;

    if (strcmp(rule, "docker") == 0) {
        as_docker(filter);
    } else if (strcmp(rule, "no-ring-mmap") == 0) {
        must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOMEM), SCMP_SYS(mmap), 1,
                              SCMP_A5(SCMP_CMP_EQ, RING_SQES, 0)),
             rule);
    } else if ((value = value_of(rule, "refuse="))) {
        char name[64] = "";
        const char *colon = strchr(value, ':');

        expect(colon && colon - value < (ptrdiff_t)sizeof(name));
        memcpy(name, value, (size_t)(colon - value));
        refuse(filter, name, atoi(colon + 1));
    } else if ((value = value_of(rule, "nofile="))) {
        limit(RLIMIT_NOFILE, value, 1);
    } else if ((value = value_of(rule, "nproc="))) {
        limit(RLIMIT_NPROC, value, 1);
    } else if ((value = value_of(rule, "memlock="))) {
        limit(RLIMIT_MEMLOCK, value, 1);
    } else if ((value = value_of(rule, "as="))) {
        limit(RLIMIT_AS, value, 1 << 20);
    } else if ((value = value_of(rule, "stack="))) {
        limit(RLIMIT_STACK, value, 1 << 20);
    } else if ((value = value_of(rule, "uid="))) {
        must(setgid((gid_t)atoi(value)) || setuid((uid_t)atoi(value)), rule);
    } else {
        fprintf(stderr, "confine: no such rule: %s\n", rule);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int i = 1;

    expect(filter);
    test_watchdog(0); // the program has its own
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) apply(filter, argv[i]);
    if (i + 1 >= argc) return 2;
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    must(seccomp_load(filter), "seccomp_load");
    seccomp_release(filter);
    execv(argv[i + 1], argv + i + 1);
    must(1, argv[i + 1]);
}
