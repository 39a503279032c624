// SPDX-License-Identifier: Apache-2.0
#include "gate/drop.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

enum { SHARD_SEATS = 4096, SHARD_CELLS_MIN = 16 };

enum err drop_init(struct drop *drop, int64_t quantity)
{
    ASSERT(quantity >= 1 && quantity <= UINT32_MAX);
    *drop = (struct drop){ .quantity = quantity, .next_slot = 1 };
    drop->shard_count = (size_t)(quantity / SHARD_SEATS) + 1;
    drop->shards = mem_alloc(drop->shard_count * sizeof *drop->shards);
    return drop->shards ? ERR_OK : ERR_NOMEM;
}

void drop_fini(struct drop *drop)
{
    for (size_t i = 0; drop->shards && i < drop->shard_count; i++)
        mem_free(drop->shards[i].seats);
    mem_free(drop->shards);
    mem_free(drop->returned);
    mem_free(drop->pending);
    *drop = (struct drop){ 0 };
}

/* ---- seats ---- */

/* The shard is chosen by the high half of the hash, the cell by the low half. */
static size_t home_cell(const struct drop_shard *shard, uint64_t hash)
{
    return hash_cell(hash << 32, shard->cells);
}

static size_t shard_find(const struct drop_shard *shard, uint64_t hash, int64_t user_id)
{
    size_t i = home_cell(shard, hash);

    while (shard->seats[i].user_id != user_id && shard->seats[i].user_id != 0)
        i = i + 1 < shard->cells ? i + 1 : 0;
    return i;
}

static struct drop_shard *shard_of(struct drop *drop, uint64_t hash)
{
    return &drop->shards[hash_cell(hash, drop->shard_count)];
}

struct drop_seat *drop_find(struct drop *drop, int64_t user_id)
{
    uint64_t hash = hash_u64((uint64_t)user_id);
    struct drop_shard *shard = shard_of(drop, hash);

    if (shard->cells == 0)
        return NULL;
    struct drop_seat *seat = &shard->seats[shard_find(shard, hash, user_id)];
    return seat->user_id ? seat : NULL;
}

static enum err shard_grow(struct drop_shard *shard)
{
    struct drop_shard bigger = { .cells = MAX(shard->cells + shard->cells / 2,
                                              (uint32_t)SHARD_CELLS_MIN),
                                 .used = shard->used };

    bigger.seats = mem_alloc(bigger.cells * sizeof *bigger.seats);
    if (!bigger.seats)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < shard->cells; i++) {
        int64_t user_id = shard->seats[i].user_id;
        if (user_id)
            bigger.seats[shard_find(&bigger, hash_u64((uint64_t)user_id), user_id)] =
                shard->seats[i];
    }
    mem_free(shard->seats);
    *shard = bigger;
    return ERR_OK;
}

/* At most three quarters full after one more. */
static enum err seat_reserve(struct drop *drop, int64_t user_id)
{
    struct drop_shard *shard = shard_of(drop, hash_u64((uint64_t)user_id));

    return (uint64_t)(shard->used + 1) * 4 > (uint64_t)shard->cells * 3 ? shard_grow(shard)
                                                                        : ERR_OK;
}

static struct drop_seat *seat_put(struct drop *drop, int64_t user_id, uint32_t slot)
{
    uint64_t hash = hash_u64((uint64_t)user_id);
    struct drop_shard *shard = shard_of(drop, hash);
    struct drop_seat *seat = &shard->seats[shard_find(shard, hash, user_id)];

    ASSERT(seat->user_id == 0);
    *seat = (struct drop_seat){ .user_id = user_id, .slot = slot };
    shard->used++;
    drop->granted++;
    return seat;
}

/* Deletion without tombstones: followers that would no longer be found move up (Knuth, 6.4 R). */
static void seat_take(struct drop *drop, struct drop_seat *seat)
{
    struct drop_shard *shard = shard_of(drop, hash_u64((uint64_t)seat->user_id));
    size_t hole = (size_t)(seat - shard->seats);

    for (size_t i = hole;;) {
        i = i + 1 < shard->cells ? i + 1 : 0;
        if (shard->seats[i].user_id == 0)
            break;
        size_t home = home_cell(shard, hash_u64((uint64_t)shard->seats[i].user_id));
        bool reachable = hole <= i ? home > hole && home <= i : home > hole || home <= i;
        if (reachable)
            continue;
        shard->seats[hole] = shard->seats[i];
        hole = i;
    }
    shard->seats[hole] = (struct drop_seat){ 0 };
    shard->used--;
    drop->granted--;
}

/* ---- returned slots: a binary heap ---- */

static enum err returned_reserve(struct drop *drop, size_t count)
{
    if (drop->returned_cap >= count)
        return ERR_OK;
    size_t cap = MAX(count, drop->returned_cap * 2);
    uint32_t *moved = mem_resize(drop->returned, cap * sizeof *moved);
    if (!moved)
        return ERR_NOMEM;
    drop->returned = moved;
    drop->returned_cap = cap;
    return ERR_OK;
}

static void returned_put(struct drop *drop, uint32_t slot)
{
    ASSERT(drop->returned_count < drop->returned_cap);
    size_t i = drop->returned_count++;
    while (i > 0 && drop->returned[(i - 1) / 2] > slot) {
        drop->returned[i] = drop->returned[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    drop->returned[i] = slot;
}

static uint32_t returned_take(struct drop *drop)
{
    uint32_t first = drop->returned[0], last = drop->returned[--drop->returned_count];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < drop->returned_count) {
        if (child + 1 < drop->returned_count && drop->returned[child + 1] < drop->returned[child])
            child++;
        if (drop->returned[child] >= last)
            break;
        drop->returned[i] = drop->returned[child];
        i = child;
    }
    drop->returned[i] = last;
    return first;
}

/* ---- pending ---- */

static enum err pending_reserve(struct drop *drop)
{
    if (drop->pending_free || MEM_ROOM(drop->pending, drop->pending_used, drop->pending_cap, 64))
        return ERR_OK;
    return ERR_NOMEM;
}

static struct drop_pending *pending_put(struct drop *drop, struct drop_seat *seat)
{
    uint32_t number = drop->pending_free;

    if (number)
        drop->pending_free = drop->pending[number - 1].next_free;
    else
        number = (uint32_t)++drop->pending_used;
    drop->pending_count++;
    seat->pending = number;
    struct drop_pending *pending = &drop->pending[number - 1];
    *pending = (struct drop_pending){ .user_id = seat->user_id, .slot = seat->slot };
    return pending;
}

static void pending_take(struct drop *drop, struct drop_seat *seat)
{
    if (!seat->pending)
        return;
    struct drop_pending *pending = &drop->pending[seat->pending - 1];
    *pending = (struct drop_pending){ .next_free = drop->pending_free };
    drop->pending_free = seat->pending;
    seat->pending = 0;
    if (--drop->pending_count == 0) { /* begin again: whoever looks at all of them sees few */
        drop->pending_used = 0;
        drop->pending_free = 0;
    }
}

/* ---- the steps ---- */

static uint32_t next_place(struct drop *drop)
{
    return drop->returned_count ? returned_take(drop) : (uint32_t)drop->next_slot++;
}

/* Room for everything first, for its coming back, too: after this nothing can fail. */
static enum err grant_reserve(struct drop *drop, int64_t user_id, size_t returning)
{
    if (drop_remaining(drop) == 0)
        return ERR_NOT_FOUND;
    TRY(seat_reserve(drop, user_id));
    TRY(pending_reserve(drop));
    return returned_reserve(drop, drop->returned_count + drop->pending_count + returning + 1);
}

static struct drop_pending *grant(struct drop *drop, int64_t user_id, uint32_t slot, uint64_t token,
                                  uint64_t now_ms)
{
    struct drop_pending *pending = pending_put(drop, seat_put(drop, user_id, slot));

    pending->token = token;
    pending->since_ms = now_ms;
    drop->changes++;
    return pending;
}

enum err drop_grant(struct drop *drop, int64_t user_id, uint64_t token, uint64_t now_ms,
                    struct drop_pending **ret_pending)
{
    TRY(grant_reserve(drop, user_id, 0));
    *ret_pending = grant(drop, user_id, next_place(drop), token, now_ms);
    return ERR_OK;
}

enum err drop_add(struct drop *drop, int64_t user_id, int64_t slot, bool is_pending,
                  struct drop_pending **ret_pending)
{
    if (drop_find(drop, user_id))
        return ERR_CONFLICT;
    TRY(seat_reserve(drop, user_id));
    TRY(pending_reserve(drop));
    TRY(returned_reserve(drop, drop->pending_count + 1));
    struct drop_seat *seat = seat_put(drop, user_id, (uint32_t)slot);
    if (is_pending)
        *ret_pending = pending_put(drop, seat);
    return ERR_OK;
}

static void each_seat(struct drop *drop, void (*each)(void *context, const struct drop_seat *seat),
                      void *context)
{
    for (size_t i = 0; i < drop->shard_count; i++)
        for (uint32_t j = 0; j < drop->shards[i].cells; j++)
            if (drop->shards[i].seats[j].user_id)
                each(context, &drop->shards[i].seats[j]);
}

struct slot_map {
    uint64_t *bits;
    uint32_t highest;
    bool twice;
};

static void map_highest(void *context, const struct drop_seat *seat)
{
    struct slot_map *map = context;

    map->highest = MAX(map->highest, seat->slot);
}

static void map_mark(void *context, const struct drop_seat *seat)
{
    struct slot_map *map = context;
    uint64_t bit = UINT64_C(1) << (seat->slot % 64);

    map->twice = map->twice || (map->bits[seat->slot / 64] & bit);
    map->bits[seat->slot / 64] |= bit;
}

enum err drop_settle_returned(struct drop *drop)
{
    struct slot_map map = { 0 };
    size_t missing;

    each_seat(drop, map_highest, &map);
    CLEANUP(mem_freep) uint64_t *bits = mem_alloc(((size_t)map.highest / 64 + 1) * sizeof *bits);
    if (!bits)
        return ERR_NOMEM;
    map.bits = bits;
    each_seat(drop, map_mark, &map);
    if (map.twice)
        return ERR_CONFLICT;
    missing = (size_t)map.highest - (size_t)drop->granted;
    TRY(returned_reserve(drop, missing + drop->pending_count));
    drop->returned_count = 0;
    for (uint32_t slot = 1; slot < map.highest; slot++)
        if (!(bits[slot / 64] >> (slot % 64) & 1) && slot <= drop->quantity)
            returned_put(drop, slot);
    drop->next_slot = (int64_t)map.highest + 1;
    drop->changes++;
    return ERR_OK;
}

void drop_confirm(struct drop *drop, struct drop_seat *seat)
{
    if (!seat->pending)
        return;
    pending_take(drop, seat);
    drop->changes++;
}

void drop_remove(struct drop *drop, struct drop_seat *seat, bool slot_returns)
{
    uint32_t slot = seat->slot;

    pending_take(drop, seat);
    seat_take(drop, seat);
    if (slot_returns && slot <= drop->quantity)
        returned_put(drop, slot);
    drop->changes++;
}

enum err drop_move(struct drop *drop, struct drop_seat *seat)
{
    if (drop_remaining(drop) == 0)
        return ERR_NOT_FOUND;
    seat->slot = next_place(drop);
    drop->pending[seat->pending - 1].slot = seat->slot;
    drop->changes++;
    return ERR_OK;
}

static void returned_forget(struct drop *drop, uint32_t slot)
{
    size_t count = drop->returned_count;

    drop->returned_count = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t other = drop->returned[i]; /* the new heap never reaches beyond what was read */
        if (other != slot)
            returned_put(drop, other);
    }
}

/* Numbers before `slot` that were never handed out are returned ones from now on. */
static void returned_skip_to(struct drop *drop, int64_t slot, uint32_t but)
{
    for (; drop->next_slot < slot; drop->next_slot++)
        if (drop->next_slot <= drop->quantity && drop->next_slot != but)
            returned_put(drop, (uint32_t)drop->next_slot);
    drop->next_slot = MAX(drop->next_slot, slot + 1);
}

static bool is_free(const struct drop *drop, int64_t slot)
{
    if (slot < 1 || slot > drop->quantity)
        return false;
    for (size_t i = 0; i < drop->returned_count; i++)
        if (drop->returned[i] == slot)
            return true;
    return slot >= drop->next_slot;
}

enum err drop_grant_at(struct drop *drop, int64_t user_id, int64_t slot, uint64_t token,
                       uint64_t now_ms, struct drop_pending **ret_pending)
{
    if (!is_free(drop, slot))
        return drop_grant(drop, user_id, token, now_ms, ret_pending);
    TRY(grant_reserve(drop, user_id, (size_t)MAX(slot - drop->next_slot, 0)));
    returned_forget(drop, (uint32_t)slot);
    returned_skip_to(drop, slot, 0);
    *ret_pending = grant(drop, user_id, (uint32_t)slot, token, now_ms);
    return ERR_OK;
}

enum err drop_take_own(struct drop *drop, struct drop_seat *seat, int64_t slot)
{
    int64_t skipped = slot >= drop->next_slot ? slot - drop->next_slot : 0;
    uint32_t old = seat->slot;

    TRY(returned_reserve(drop, drop->returned_count + drop->pending_count + (size_t)skipped + 1));
    returned_forget(drop, (uint32_t)slot);
    returned_skip_to(drop, slot, old);
    pending_take(drop, seat);
    seat->slot = (uint32_t)slot;
    if (old != slot && old <= drop->quantity)
        returned_put(drop, old);
    drop->changes++;
    return ERR_OK;
}
