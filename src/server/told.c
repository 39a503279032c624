// SPDX-License-Identifier: Apache-2.0
#include "server/told.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static const struct str kind_names[] = { [TOLD_ISSUED] = { "issued", 6 },
                                         [TOLD_RESERVED] = { "reserved", 8 },
                                         [TOLD_ALREADY] = { "already", 7 } };

/* ---- text ---- */

static enum err add(struct told *told, struct told_entry entry)
{
    if (!MEM_ROOM(told->entries, told->count, told->cap, 1024))
        return ERR_NOMEM;
    told->entries[told->count++] = entry;
    told->sorted = false;
    return ERR_OK;
}

enum err told_add(struct told *told, enum told_kind kind, int64_t user_id, int64_t slot)
{
    return add(told, (struct told_entry){
                         .kind = kind, .line = ++told->lines, .user_id = user_id, .slot = slot });
}

/* Cuts off what stands before the next `end`, or all of it. */
static struct str cut(struct str *text, char end)
{
    const char *at = text->len ? memchr(text->ptr, end, text->len) : NULL;
    struct str head = { text->ptr, at ? (size_t)(at - text->ptr) : text->len };

    text->ptr += head.len + (at != NULL);
    text->len -= head.len + (at != NULL);
    return head;
}

static bool parse_line(struct str line, struct told_entry *entry)
{
    struct str kind = cut(&line, ' '), user = cut(&line, ' ');

    if (!str_parse_int64(user, &entry->user_id) || !str_parse_int64(line, &entry->slot) ||
        entry->user_id < 1 || entry->slot < 1)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(kind_names); i++)
        if (str_equal(kind, kind_names[i])) {
            entry->kind = (enum told_kind)i;
            return true;
        }
    return false;
}

enum err told_parse(struct told *told, struct str text, uint32_t *ret_line)
{
    while (text.len > 0) {
        struct str line = cut(&text, '\n');
        struct told_entry entry = { .line = ++told->lines };
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (!parse_line(line, &entry)) {
            *ret_line = entry.line;
            return ERR_INVALID;
        }
        TRY(add(told, entry));
    }
    return ERR_OK;
}

enum err told_read(struct told *told, const char *path, uint32_t *ret_line)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    FILE *file = fopen(path, "r");
    size_t n = 1;

    if (!file)
        return ERR_IO;
    while (n > 0 && buf_reserve(&text, 1 << 16)) {
        n = fread(text.ptr + text.len, 1, 1 << 16, file);
        text.len += n;
    }
    int why = ferror(file) ? errno : 0;
    fclose(file);
    errno = why;
    if (why)
        return ERR_IO;
    if (!buf_ok(&text))
        return ERR_NOMEM;
    return told_parse(told, buf_str(&text), ret_line);
}

void told_write(const struct told *told, struct buf *out)
{
    for (size_t i = 0; i < told->count; i++) {
        const struct told_entry *entry = &told->entries[i];
        buf_str_append(out, kind_names[entry->kind]);
        buf_char(out, ' ');
        buf_int(out, entry->user_id);
        buf_char(out, ' ');
        buf_int(out, entry->slot);
        buf_char(out, '\n');
    }
}

void told_fini(struct told *told)
{
    mem_free(told->entries);
    *told = (struct told){ 0 };
}

/* ---- held against the rows ---- */

static int by_user(const void *a, const void *b)
{
    const struct told_entry *x = a, *y = b;

    if (x->user_id != y->user_id)
        return x->user_id < y->user_id ? -1 : 1;
    return x->line < y->line ? -1 : 1;
}

static void sort(struct told *told)
{
    if (!told->sorted && told->count > 0)
        qsort(told->entries, told->count, sizeof *told->entries, by_user);
    told->sorted = true;
}

/* The first entry of that user, or where it would be. */
static size_t first_of(const struct told *told, int64_t user_id)
{
    size_t low = 0, high = told->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (told->entries[middle].user_id < user_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void told_rewind(struct told *told)
{
    for (size_t i = 0; i < told->count; i++) {
        told->entries[i].row_slot = 0;
        told->entries[i].pending = false;
    }
}

void told_show_row(struct told *told, int64_t slot, int64_t user_id)
{
    sort(told);
    for (size_t i = first_of(told, user_id); i < told->count && told->entries[i].user_id == user_id;
         i++)
        if (told->entries[i].row_slot != told->entries[i].slot)
            told->entries[i].row_slot = slot;
}

void told_show_pending(struct told *told, int64_t from_slot, int64_t to_slot, int64_t user_id)
{
    sort(told);
    for (size_t i = user_id ? first_of(told, user_id) : 0; i < told->count; i++) {
        struct told_entry *entry = &told->entries[i];
        if (user_id && entry->user_id != user_id)
            break;
        entry->pending |= entry->slot >= from_slot && entry->slot <= to_slot;
    }
}

static bool is_so(const struct told_entry *entry)
{
    if (entry->row_slot)
        return entry->row_slot == entry->slot;
    switch (entry->kind) {
    case TOLD_ISSUED:
        return false;
    case TOLD_RESERVED:
    case TOLD_ALREADY:
        return entry->pending;
    }
    return false;
}

int64_t told_lies(const struct told *told, char first_lie[TOLD_LIE_BYTES])
{
    const struct told_entry *first = NULL;
    int64_t lies = 0;

    for (size_t i = 0; i < told->count; i++) {
        const struct told_entry *entry = &told->entries[i];
        if (is_so(entry))
            continue;
        lies++;
        if (!first || entry->line < first->line)
            first = entry;
    }
    first_lie[0] = '\0';
    if (first && first->row_slot)
        snprintf(first_lie, TOLD_LIE_BYTES,
                 "user %" PRId64 " was told %s %" PRId64 " and has %" PRId64, first->user_id,
                 kind_names[first->kind].ptr, first->slot, first->row_slot);
    else if (first)
        snprintf(first_lie, TOLD_LIE_BYTES,
                 "user %" PRId64 " was told %s %" PRId64 " and has no row", first->user_id,
                 kind_names[first->kind].ptr, first->slot);
    return lies;
}
