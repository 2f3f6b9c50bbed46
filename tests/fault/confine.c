// SPDX-License-Identifier: MIT
// confine RULE... -- PROGRAM ARGS: runs a program where the kernel refuses things.
//
//     docker             first: as Docker's default profile (docker_profile.h)
//     refuse=CALL:ERRNO  this system call fails so
//     forbid=CALL,CALL.. these end the process by SIGSYS; prlimit64 only where it sets a limit
//     no-ring-mmap       a ring's queues cannot be mapped: ENOMEM
//     nofile=N  nproc=N  memlock=N  as=MIB  stack=MIB     the limit (stack=0: none)
//     uid=N              as another user (root is beyond some limits)
//
// Filters are the kernel's own seccomp. What cannot be set up here ends with 77.
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fault/docker_profile.h"
#include "tests/lib/test.h"

#define RING_SQES 0x10000000u // IORING_OFF_SQES
#define NAMESPACES                                                                       \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |          \
     CLONE_NEWNET | CLONE_NEWCGROUP)

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

static void forbid(scmp_filter_ctx filter, const char *names)
{
    static char list[512];

    expect(strlen(names) < sizeof(list));
    strcpy(list, names);
    for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
        int call = seccomp_syscall_resolve_name(name);
        bool limits = strcmp(name, "prlimit64") == 0;

        if (call < 0) continue; // not here, or this libseccomp does not know it
        must(seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, limits,
                              SCMP_A2(SCMP_CMP_NE, 0, 0)),
             name);
    }
}

static void allow(scmp_filter_ctx filter, const char *name)
{
    int call = seccomp_syscall_resolve_name(name);

    if (call < 0) return; // not here, or this libseccomp does not know it
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0), name);
}

static void allow_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp condition)
{
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, condition), "a condition");
}

// The filter refuses by default.
static void as_docker(scmp_filter_ctx filter)
{
    static const uint64_t personalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
    static char names[sizeof(docker_allows)];

    strcpy(names, docker_allows);
    for (char *name = strtok(names, " "); name; name = strtok(NULL, " "))
        allow(filter, name);
    allow(filter, "arch_prctl");
    allow(filter, "modify_ldt");
    for (size_t i = 0; i < sizeof(personalities) / sizeof(personalities[0]); i++)
        allow_if(filter, SCMP_SYS(personality),
                 SCMP_A0(SCMP_CMP_EQ, personalities[i], 0));
    allow_if(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_NE, AF_VSOCK, 0));
    allow_if(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
    // Its flags cannot be seen: libc falls back to clone.
    refuse(filter, "clone3", ENOSYS);
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
    } else if ((value = value_of(rule, "forbid="))) {
        forbid(filter, value);
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
    bool docker = argc > 1 && strcmp(argv[1], "docker") == 0;
    scmp_filter_ctx filter =
        seccomp_init(docker ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
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
