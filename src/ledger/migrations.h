// SPDX-License-Identifier: Apache-2.0
/* The files of migrations/, built into the program (tools/embed_migrations.py), by number. */
#pragma once
#include "sqlite/sqlite_db.h"

extern const struct sqlite_migration migrations[];
extern const size_t migrations_count;
