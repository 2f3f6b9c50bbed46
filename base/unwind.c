// SPDX-License-Identifier: MIT
#include "base/unwind.h"

#include <stdbool.h>
#include <string.h>

#include "base/platform.h"

enum { SP = 7, RA = 16 };
enum {
    ENC_ABSOLUTE = 0x00,
    ENC_UDATA4 = 0x03,
    ENC_PCREL_SDATA4 = 0x1b,
    ENC_REL_SDATA4 = 0x3b
};
enum { RULE_SAME, RULE_UNDEFINED, RULE_AT_CFA, RULE_CFA, RULE_REG };

#define STATES 4 // remembered at once

struct rule {
    uint8_t how; // RULE_*
    int64_t value;
};

struct state {
    struct rule regs[UNWIND_REGS];
    unsigned cfa_reg;
    int64_t cfa_offset;
};

struct table {
    const uint8_t *at, *end;          // instructions
    const uint8_t *first, *first_end; // the common ones, which come first
    uintptr_t pc_begin, pc_end;
    uint64_t code_align;
    int64_t data_align;
    bool whole; // false: something here is of a form that we do not know
};

// ---- Bytes -----------------------------------------------------------------------------------

struct bytes {
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t fixed(struct bytes *b, unsigned n)
{
    uint64_t v = 0;

    if (b->bad || (size_t)(b->end - b->at) < n) {
        b->bad = true;
        return 0;
    }
    memcpy(&v, b->at, n);
    b->at += n;
    return v;
}

static uint64_t uleb(struct bytes *b)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = fixed(b, 1);

        v |= (byte & 0x7f) << shift;
        if (!(byte & 0x80)) return v;
    }
    b->bad = true;
    return 0;
}

static int64_t sleb(struct bytes *b)
{
    uint64_t v = 0;
    unsigned shift = 0;
    uint64_t byte = 0x80;

    while (byte & 0x80 && shift < 64) {
        byte = fixed(b, 1);
        v |= (byte & 0x7f) << shift;
        shift += 7;
    }
    if (byte & 0x40 && shift < 64) v |= ~UINT64_C(0) << shift;
    return (int64_t)v;
}

static void skip(struct bytes *b, uint64_t n)
{
    if (b->bad || (uint64_t)(b->end - b->at) < n)
        b->bad = true;
    else
        b->at += n;
}

// ---- Finding the table of a pc -----------------------------------------------------------------

// The last entry of the sorted index that begins at or before pc; NULL: there is none.
static const uint8_t *search(const struct os_frame_index *index, uintptr_t pc)
{
    const uint8_t *header = index->header;
    struct bytes b = {header + 4, header + 12, false};
    int64_t want = (int64_t)(pc - (uintptr_t)header);
    int32_t entry[2];

    if (header[0] != 1 || header[1] != ENC_PCREL_SDATA4 || header[2] != ENC_UDATA4 ||
        header[3] != ENC_REL_SDATA4)
        return NULL;
    fixed(&b, 4); // where .eh_frame begins: the index names its entries itself
    uint64_t below = fixed(&b, 4);
    uint64_t first = 0;
    while (first < below) {
        uint64_t middle = (first + below) / 2;

        memcpy(entry, header + 12 + middle * 8, 8);
        if (entry[0] <= want)
            first = middle + 1;
        else
            below = middle;
    }
    if (first == 0) return NULL;
    memcpy(entry, header + 12 + (first - 1) * 8, 8);
    return header + entry[1];
}

// An entry's body; *ret_id is where its second word stands, and what it holds.
static struct bytes open_entry(const uint8_t *entry, const uint8_t **ret_id,
                               uint32_t *ret)
{
    uint32_t length;

    memcpy(&length, entry, 4);
    struct bytes b = {entry + 4, entry + 4 + length, length == UINT32_MAX};
    *ret_id = b.at;
    *ret = (uint32_t)fixed(&b, 4);
    return b;
}

// What all entries of one kind share. False: of a form that we do not know.
static bool read_common(const uint8_t *entry, struct table *t, bool *ret_augmented)
{
    const uint8_t *id_at;
    uint32_t id;
    struct bytes b = open_entry(entry, &id_at, &id);
    uint64_t version = fixed(&b, 1);
    const char *letters = (const char *)b.at;
    unsigned encoding = ENC_ABSOLUTE;

    if (b.bad || id != 0 || (version != 1 && version != 3)) return false;
    skip(&b, strnlen(letters, (size_t)(b.end - b.at)) + 1);
    t->code_align = uleb(&b);
    t->data_align = sleb(&b);
    uint64_t ra = version == 1 ? fixed(&b, 1) : uleb(&b);
    *ret_augmented = letters[0] == 'z';
    if (*ret_augmented) {
        uint64_t bytes = uleb(&b);
        struct bytes extra = b;

        skip(&b, bytes);
        for (const char *l = letters + 1; *l && !extra.bad; l++) {
            if (*l == 'R') {
                encoding = (unsigned)fixed(&extra, 1);
            } else if (*l == 'L') {
                fixed(&extra, 1);
            } else if (*l == 'P') {
                // Only four and eight bytes are in use.
                unsigned form = (unsigned)fixed(&extra, 1);
                skip(&extra, (form & 7) == 3 ? 4 : 8);
            } else {
                return false; // 'S': a signal's frame
            }
        }
    }
    t->first = b.at;
    t->first_end = b.end;
    return !b.bad && ra == RA && encoding == ENC_PCREL_SDATA4;
}

static bool find(uintptr_t pc, struct table *t)
{
    struct os_frame_index index;
    const uint8_t *id_at;
    uint32_t back;
    bool augmented;

    if (!os_frame_index(pc, &index)) return false;
    const uint8_t *entry = search(&index, pc);
    if (!entry) return false;
    struct bytes b = open_entry(entry, &id_at, &back);
    if (b.bad || back == 0 || !read_common(id_at - back, t, &augmented)) return false;
    t->pc_begin = (uintptr_t)b.at;
    t->pc_begin += (uintptr_t)(int64_t)(int32_t)fixed(&b, 4);
    t->pc_end = t->pc_begin + (uint32_t)fixed(&b, 4);
    if (augmented) skip(&b, uleb(&b));
    t->at = b.at;
    t->end = b.end;
    return !b.bad && pc >= t->pc_begin && pc < t->pc_end;
}

// ---- Running a table's instructions up to a pc ---------------------------------------------

struct machine {
    struct table *table;
    struct state now, initial, saved[STATES];
    unsigned n_saved;
    uintptr_t pc;
    bool bad;
};

static void set_rule(struct machine *m, uint64_t reg, uint8_t how, int64_t value)
{
    if (reg >= UNWIND_REGS) return; // vectors: nobody saves them
    m->now.regs[reg] = (struct rule){how, value};
}

static void restore(struct machine *m, uint64_t reg)
{
    if (reg < UNWIND_REGS) m->now.regs[reg] = m->initial.regs[reg];
}

// Those whose number is the whole first byte.
static void extended(struct machine *m, struct bytes *b, unsigned code)
{
    int64_t align = m->table->data_align;
    uint64_t reg;

    switch (code) {
    case 0x00: break; // nop
    case 0x02: m->pc += fixed(b, 1) * m->table->code_align; break;
    case 0x03: m->pc += fixed(b, 2) * m->table->code_align; break;
    case 0x04: m->pc += fixed(b, 4) * m->table->code_align; break;
    case 0x05: // offset_extended
        reg = uleb(b);
        set_rule(m, reg, RULE_AT_CFA, (int64_t)uleb(b) * align);
        break;
    case 0x06: restore(m, uleb(b)); break;
    case 0x07: set_rule(m, uleb(b), RULE_UNDEFINED, 0); break;
    case 0x08: set_rule(m, uleb(b), RULE_SAME, 0); break;
    case 0x09: // register
        reg = uleb(b);
        set_rule(m, reg, RULE_REG, (int64_t)uleb(b));
        break;
    case 0x0a: // remember
        if (m->n_saved == STATES)
            m->bad = true;
        else
            m->saved[m->n_saved++] = m->now;
        break;
    case 0x0b: // come back
        if (m->n_saved == 0)
            m->bad = true;
        else
            m->now = m->saved[--m->n_saved];
        break;
    case 0x0c: // def_cfa
        m->now.cfa_reg = (unsigned)uleb(b);
        m->now.cfa_offset = (int64_t)uleb(b);
        break;
    case 0x0d: m->now.cfa_reg = (unsigned)uleb(b); break;
    case 0x0e: m->now.cfa_offset = (int64_t)uleb(b); break;
    case 0x11: // offset_extended_sf
        reg = uleb(b);
        set_rule(m, reg, RULE_AT_CFA, sleb(b) * align);
        break;
    case 0x12: // def_cfa_sf
        m->now.cfa_reg = (unsigned)uleb(b);
        m->now.cfa_offset = sleb(b) * align;
        break;
    case 0x13: m->now.cfa_offset = sleb(b) * align; break;
    case 0x14: // val_offset
        reg = uleb(b);
        set_rule(m, reg, RULE_CFA, (int64_t)uleb(b) * align);
        break;
    case 0x2e: uleb(b); break; // the size of a call's arguments
    default: m->bad = true;
    }
}

static void run(struct machine *m, const uint8_t *at, const uint8_t *end, uintptr_t until)
{
    struct bytes b = {at, end, false};

    while (b.at < b.end && !b.bad && !m->bad && m->pc <= until) {
        unsigned code = (unsigned)fixed(&b, 1);
        unsigned low = code & 0x3f;

        switch (code >> 6) {
        case 1: m->pc += low * m->table->code_align; break;
        case 2:
            set_rule(m, low, RULE_AT_CFA, (int64_t)uleb(&b) * m->table->data_align);
            break;
        case 3: restore(m, low); break;
        default: extended(m, &b, code);
        }
        // What follows an advance beyond the pc is of later code.
    }
    if (b.bad) m->bad = true;
}

// ---- One frame ---------------------------------------------------------------------------------

static bool read_word(const struct unwind *u, uintptr_t at, uintptr_t *ret)
{
    if (at < u->low || at - u->low > u->bytes || u->bytes - (at - u->low) < sizeof(*ret))
        return false;
    memcpy(ret, u->copy + (at - u->low), sizeof(*ret));
    return true;
}

static bool apply(struct unwind *u, const struct rule *r, unsigned reg, uintptr_t cfa,
                  uintptr_t *ret)
{
    switch (r->how) {
    case RULE_SAME: *ret = reg == SP ? cfa : u->regs[reg]; return true;
    case RULE_AT_CFA: return read_word(u, cfa + (uintptr_t)r->value, ret);
    case RULE_CFA: *ret = cfa + (uintptr_t)r->value; return true;
    case RULE_REG:
        if ((uint64_t)r->value >= UNWIND_REGS) return false;
        *ret = u->regs[r->value];
        return true;
    default: *ret = 0; return reg != RA; // a stack's first frame has no caller
    }
}

// From a frame to its caller's. False: this was the last one, or one that makes no sense.
static bool step(struct unwind *u)
{
    struct machine m = {0};
    struct table t = {0};
    uintptr_t next[UNWIND_REGS];
    uintptr_t pc = u->regs[RA] - 1; // inside the call

    if (!find(pc, &t)) return false;
    m.table = &t;
    m.pc = t.pc_begin;
    run(&m, t.first, t.first_end, UINTPTR_MAX);
    m.initial = m.now;
    m.pc = t.pc_begin;
    run(&m, t.at, t.end, pc);
    if (m.bad || m.now.cfa_reg >= UNWIND_REGS) return false;
    uintptr_t cfa = u->regs[m.now.cfa_reg] + (uintptr_t)m.now.cfa_offset;
    if (cfa <= u->regs[SP]) return false;
    for (unsigned i = 0; i < UNWIND_REGS; i++)
        if (!apply(u, &m.now.regs[i], i, cfa, &next[i])) return false;
    memcpy(u->regs, next, sizeof(next));
    return u->regs[RA] != 0;
}

int unwind_walk(struct unwind *u, void **ret_frames, int most)
{
    int n = 0;

    while (n < most && u->regs[RA] != 0) {
        ret_frames[n++] = (void *)u->regs[RA]; // NOLINT: an address of code
        if (!step(u)) break;
    }
    return n;
}
