// SPDX-License-Identifier: Apache-2.0
/* Breaks on inputs that start with "DB": a fuzzer that is led by coverage comes upon one in a moment. */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] == 'D' && data[1] == 'B')
        __builtin_trap();
    return 0;
}
