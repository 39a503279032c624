// SPDX-License-Identifier: Apache-2.0
/* The files of migrations/, built into the program (tools/embed_migrations.py), by number. Both
 * kinds of store have the same levels. */
#pragma once
#include "sqlite/sqlite_db.h"

extern const struct sqlite_migration migrations[];
extern const size_t migrations_count;
extern const struct sqlite_migration migrations_postgres[];
extern const size_t migrations_postgres_count;
