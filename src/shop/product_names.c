// SPDX-License-Identifier: Apache-2.0
/* A name has one place where it can be; who comes later takes it. So memory is bounded, and a
 * board's few names are there. */
#include "base/hash.h"
#include "base/mem.h"
#include "shop/ranking_internal.h"

enum { PLACES = 8192 };

struct named {
    int64_t product_id; /* 0: empty */
    uint64_t stamp;
    char *name;
    size_t len;
};

struct product_names {
    struct named places[PLACES];
};

struct product_names *product_names_new(void)
{
    return mem_alloc(sizeof(struct product_names));
}

struct product_names *product_names_free(struct product_names *names)
{
    for (size_t i = 0; names && i < PLACES; i++)
        mem_free(names->places[i].name);
    return mem_free(names);
}

static size_t place_of(int64_t product_id)
{
    return hash_cell(hash_u64((uint64_t)product_id), PLACES);
}

bool product_names_find(const struct product_names *names, int64_t product_id, uint64_t stamp,
                        bool any_stamp, struct str *ret_name)
{
    const struct named *named = &names->places[place_of(product_id)];

    if (!named->name || named->product_id != product_id || (!any_stamp && named->stamp != stamp))
        return false;
    *ret_name = (struct str){ named->name, named->len };
    return true;
}

void product_names_put(struct product_names *names, int64_t product_id, uint64_t stamp,
                       struct str name)
{
    struct named *named = &names->places[place_of(product_id)];
    char *copy = mem_resize(named->name, name.len + 1);

    if (!copy)
        return;
    memcpy(copy, name.ptr, name.len);
    *named = (struct named){ product_id, stamp, copy, name.len };
}
