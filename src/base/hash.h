// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection that spreads every bit. */
static inline uint64_t hash_u64(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* Where hash `h` falls in a table of `size` cells: h * size / 2^64 (Lemire 2016). */
static inline size_t hash_cell(uint64_t h, size_t size)
{
    return (size_t)(((unsigned __int128)h * size) >> 64);
}

/* CRC-32C (Castagnoli), as in RFC 3720. `crc` is 0 or the value for the bytes before. */
uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t n);
