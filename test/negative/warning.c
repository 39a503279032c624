// SPDX-License-Identifier: Apache-2.0
/* Must not compile: each function has one fault that both compilers are asked to refuse. */
#include <stdint.h>

enum outcome { OUTCOME_GRANTED, OUTCOME_SOLD_OUT };

__attribute__((warn_unused_result)) int warning_must_use(void);
int32_t warning_conversion(int64_t wide);
int warning_switch(enum outcome outcome);
int warning_shadow(int n);
int warning_unused_result(void);

int32_t warning_conversion(int64_t wide)
{
    int32_t narrow = wide;
    return narrow;
}

int warning_switch(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_GRANTED:
        return 1;
    }
    return 0;
}

int warning_shadow(int n)
{
    for (int i = 0; i < 2; i++) {
        int n = i;
        (void)n;
    }
    return n;
}

int warning_unused_result(void)
{
    warning_must_use();
    return 0;
}

int warning_prototype(void)
{
    return 0;
}
