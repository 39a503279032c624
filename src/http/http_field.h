// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "base/str.h"

/* A header field as it was sent; the value without blanks around it. */
struct http_field {
    struct str name, value;
};
