// SPDX-License-Identifier: Apache-2.0
/* What was built, from what. Made by meson.build out of version.c.in. */
#pragma once

extern const char version_number[];    /* "0.1.0" */
extern const char version_commit[];    /* "4348603", "4348603-dirty", or "unknown" */
extern const char version_libraries[]; /* "libuv 1.44.2, …" as built with */
