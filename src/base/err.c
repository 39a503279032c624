// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

static const struct {
    const char *name, *text;
} err_rows[] = {
#define ERR(name, text) { #name, text },
#include "base/err.def"
#undef ERR
};

const char *err_name(enum err e)
{
    return err_rows[e].name;
}

const char *err_text(enum err e)
{
    return err_rows[e].text;
}
