// SPDX-License-Identifier: MIT
// minimise - makes a failing string of decisions small: delta debugging on its bytes.
#pragma once

#include <stdint.h>

// Takes a string that fails for 'seed', leaves one that still fails and in which as many bytes as
// can be found are 0; returns its length without the zeros at the end. Zeller and Hildebrandt,
// "Simplifying and isolating failure-inducing input", 2002; a byte is taken out by making it dull.
uint32_t minimise(uint64_t seed, uint8_t *bytes, uint32_t n, void (*fn)(void));

// "12x0,3,1,5x0": runs of equal bytes. The text must be freed.
char *choices_print(const uint8_t *bytes, uint32_t n);
// -1: not such a text.
int choices_parse(const char *text, uint8_t *ret_bytes, uint32_t *ret_n);
