// SPDX-License-Identifier: MIT
// platform_image - what the dynamic loader knows about code: frame tables and names.
#include <dlfcn.h>
#include <errno.h>
#include <link.h>

#include "base/platform.h"

struct wanted {
    uintptr_t pc;
    struct os_frame_index *index;
};

static int look_into(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct wanted *w = arg;
    const void *header = NULL;
    bool has_pc = false;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + p->p_vaddr;

        if (p->p_type == PT_LOAD && w->pc >= at && w->pc - at < p->p_memsz) has_pc = true;
        if (p->p_type == PT_GNU_EH_FRAME)
            header = (const void *)at; // NOLINT: of the loader
    }
    if (!has_pc || !header) return 0;
    w->index->header = header;
    return 1;
}

bool os_frame_index(uintptr_t pc, struct os_frame_index *ret_index)
{
    struct wanted w = {pc, ret_index};

    return dl_iterate_phdr(look_into, &w) == 1;
}

bool os_symbol(const void *at, struct os_symbol *ret_symbol)
{
    Dl_info info;

    if (!dladdr(at, &info)) return false;
    *ret_symbol = (struct os_symbol){
        .module = info.dli_fname,
        .name = info.dli_sname,
        .offset =
            (uintptr_t)at - (uintptr_t)(info.dli_sname ? info.dli_saddr : info.dli_fbase),
    };
    return true;
}

bool os_module(const void *at, struct os_symbol *ret_symbol)
{
    struct dl_find_object found;

    if (_dl_find_object((void *)(uintptr_t)at, &found) < 0) return false;
    const struct link_map *map = found.dlfo_link_map;
    *ret_symbol = (struct os_symbol){
        .module = map->l_name[0] ? map->l_name : program_invocation_name,
        .offset = (uintptr_t)at - map->l_addr,
    };
    return true;
}
