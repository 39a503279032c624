// SPDX-License-Identifier: Apache-2.0
#include "server/verb.h"

static int run(const struct verb *verb, struct config *config)
{
    (void)config;
    return verb_fail(VERB_USAGE, "%s is not there yet", verb->name);
}

const struct verb verb_token = {
    .name = "token", .usage = "token", .about = "Not there yet.", .run = run
};
