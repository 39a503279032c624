// SPDX-License-Identifier: Apache-2.0
/* The drop against a model that is too simple to be wrong: an array of slots, an array of users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "gate/drop.h"

enum { USERS = 300, SLOTS = 420, STEPS = 1000000, CHECK_EVERY = 97 };

enum slot_state { NEVER, HELD, RETURNED, ELSEWHERE }; /* ELSEWHERE: somebody else's row */

static struct {
    struct drop drop;
    int64_t quantity, next;
    enum slot_state slots[SLOTS + 1];
    struct {
        int64_t slot; /* 0: holds nothing */
        bool pending;
        uint64_t token;
    } users[USERS + 1];
    uint64_t random;
    long failed[8];
} m;

static uint64_t any(uint64_t below)
{
    m.random = hash_u64(m.random);
    return m.random % below;
}

/* Spread over 64 bits and crowded into few cells alike. */
static int64_t id_of(size_t user)
{
    return user % 3 == 0 ? (int64_t)(hash_u64(user) >> 1) : (int64_t)user;
}

static int64_t lowest_free(void)
{
    for (int64_t slot = 1; slot < m.next; slot++)
        if (m.slots[slot] == RETURNED)
            return slot;
    return m.next <= m.quantity ? m.next : 0;
}

static void check_user(size_t user, int64_t *held, size_t *pending)
{
    struct drop_seat *seat = drop_find(&m.drop, id_of(user));

    if (!m.users[user].slot) {
        assert_null(seat);
        return;
    }
    assert_non_null(seat);
    assert_int_equal(seat->user_id, id_of(user));
    assert_int_equal(seat->slot, m.users[user].slot);
    assert_int_equal(m.slots[seat->slot], HELD);
    assert_int_equal(seat->pending != 0, m.users[user].pending);
    if (seat->pending) {
        const struct drop_pending *entry = drop_pending_of(&m.drop, seat);
        assert_int_equal(entry->user_id, id_of(user));
        assert_int_equal(entry->slot, seat->slot);
        assert_int_equal(entry->token, m.users[user].token);
        ++*pending;
    }
    ++*held;
}

/* held, returned and [next..] are all there is, and each number is in one of them. */
static void check_all(void)
{
    int64_t held = 0, remaining = 0;
    size_t pending = 0, returned = 0;

    for (size_t user = 1; user <= USERS; user++)
        check_user(user, &held, &pending);
    assert_int_equal(m.drop.granted, held);
    assert_int_equal(m.drop.pending_count, pending);
    assert_int_equal(m.drop.next_slot, m.next);
    for (int64_t slot = 1; slot < m.next; slot++) {
        assert_int_not_equal(m.slots[slot], NEVER);
        held -= m.slots[slot] == HELD;
        returned += m.slots[slot] == RETURNED;
    }
    assert_int_equal(held, 0); /* each in a slot of its own */
    assert_int_equal(m.drop.returned_count, returned);
    for (size_t i = 0; i < returned; i++)
        assert_int_equal(m.slots[m.drop.returned[i]], RETURNED);
    remaining = (m.quantity >= m.next ? m.quantity - m.next + 1 : 0) + (int64_t)returned;
    assert_int_equal(drop_remaining(&m.drop), remaining);
}

static void slot_use(int64_t slot)
{
    if (slot == m.next)
        m.next++;
    m.slots[slot] = HELD;
}

static void slot_back(int64_t slot)
{
    m.slots[slot] = slot <= m.quantity ? RETURNED : ELSEWHERE;
}

/* A failed allocation: the answer says so and nothing is different. */
static bool failed(int op, enum err e)
{
    bool hit = mem_fault_hits() > 0;

    mem_fault_set(-1);
    if (!hit)
        return false;
    assert_int_equal(e, ERR_NOMEM);
    check_all();
    m.failed[op]++;
    return true;
}

static void step_grant(size_t user)
{
    struct drop_pending *pending = NULL;
    int64_t slot = lowest_free();
    uint64_t token = m.random | 1;

    enum err e = drop_grant(&m.drop, id_of(user), token, 5, &pending);
    if (failed(0, e))
        return;
    assert_int_equal(e, slot ? ERR_OK : ERR_NOT_FOUND);
    if (!slot)
        return;
    assert_int_equal(pending->slot, slot);
    slot_use(slot);
    m.users[user].slot = slot;
    m.users[user].pending = true;
    m.users[user].token = token;
}

static void step_move(size_t user, struct drop_seat *seat)
{
    int64_t slot = lowest_free();

    enum err e = drop_move(&m.drop, seat);
    assert_int_equal(e, slot ? ERR_OK : ERR_NOT_FOUND);
    if (!slot)
        return;
    m.slots[m.users[user].slot] = ELSEWHERE;
    slot_use(slot);
    m.users[user].slot = slot;
}

static void step_take_own(size_t user, struct drop_seat *seat)
{
    int64_t slot = 1 + (int64_t)any((uint64_t)MIN(m.quantity + 3, SLOTS));
    int64_t old = m.users[user].slot;

    if (m.slots[slot] == HELD && slot != old) {
        mem_fault_set(-1);
        return;
    }
    enum err e = drop_take_own(&m.drop, seat, slot);
    if (failed(1, e))
        return;
    assert_int_equal(e, ERR_OK);
    for (; m.next <= slot; m.next++)
        slot_back(m.next);
    slot_back(old);
    m.slots[slot] = HELD;
    m.users[user].slot = slot;
    m.users[user].pending = false;
}

static void step_holder(size_t user)
{
    struct drop_seat *seat = drop_find(&m.drop, id_of(user));
    uint64_t what = any(8);

    assert_non_null(seat);
    if (what < 3) {
        drop_confirm(&m.drop, seat);
        m.users[user].pending = false;
    } else if (what < 5 && m.users[user].pending) { /* only who is pending is ever taken out */
        bool returns = what == 3;
        if (returns)
            slot_back(m.users[user].slot);
        else
            m.slots[m.users[user].slot] = ELSEWHERE;
        drop_remove(&m.drop, seat, returns);
        m.users[user].slot = 0;
    } else if (what == 5 && m.users[user].pending) {
        step_move(user, seat);
    } else if (what == 6 && m.users[user].pending) {
        mem_fault_set(any(3) == 0 ? 0 : -1);
        step_take_own(user, seat);
    }
}

/* Two thirds of the holders in a new drop; every allocation fails once on the way. */
static void rebuild(void)
{
    struct drop_pending *pending;

    for (size_t user = 1; user <= USERS; user++)
        if (m.users[user].slot && any(3) == 0) {
            m.slots[m.users[user].slot] = ELSEWHERE;
            m.users[user].slot = 0;
        }
    drop_fini(&m.drop);
    mem_fault_set(0);
    assert_int_equal(drop_init(&m.drop, m.quantity), ERR_NOMEM);
    mem_fault_set(-1);
    assert_int_equal(drop_init(&m.drop, m.quantity), ERR_OK);
    for (size_t at = 0, start = (size_t)any(USERS); at < USERS; at++) {
        size_t user = (start + at) % USERS + 1;
        enum err e = ERR_NOMEM;
        if (!m.users[user].slot)
            continue;
        for (int after = 0; e != ERR_OK; after++) {
            int64_t granted = m.drop.granted;
            mem_fault_set(after);
            e = drop_add(&m.drop, id_of(user), m.users[user].slot, m.users[user].pending, &pending);
            assert_true(e == ERR_OK || m.drop.granted == granted);
            mem_fault_set(-1);
        }
        assert_int_equal(drop_add(&m.drop, id_of(user), m.users[user].slot, false, &pending),
                         ERR_CONFLICT);
        if (m.users[user].pending)
            pending->token = m.users[user].token;
    }
    for (int after = 0;; after++) {
        mem_fault_set(after);
        enum err e = drop_settle_returned(&m.drop);
        mem_fault_set(-1);
        if (e == ERR_OK)
            break;
        assert_int_equal(e, ERR_NOMEM);
    }
    while (m.next > 1 && m.slots[m.next - 1] != HELD)
        m.slots[--m.next] = NEVER;
    for (int64_t slot = 1; slot < m.next; slot++)
        if (m.slots[slot] != HELD)
            slot_back(slot);
}

static void test_model(void **state)
{
    (void)state;
    m.random = 20260306;
    m.quantity = 100;
    m.next = 1;
    assert_int_equal(drop_init(&m.drop, m.quantity), ERR_OK);
    for (long step = 0; step < STEPS; step++) {
        size_t user = 1 + (size_t)any(USERS);
        uint64_t changes = m.drop.changes;
        if (m.users[user].slot) {
            step_holder(user);
        } else {
            mem_fault_set(any(5) == 0 ? (int)any(2) : -1);
            step_grant(user);
        }
        mem_fault_set(-1);
        assert_true(m.drop.changes >= changes);
        if (step % 20011 == 0 && m.quantity < SLOTS - 3)
            m.drop.quantity = m.quantity += (int64_t)any(20);
        if (step % 499 == 0)
            rebuild();
        if (step % CHECK_EVERY == 0 || step < 1000)
            check_all();
    }
    assert_true(m.failed[0] > 0 && m.failed[1] > 0);
    drop_fini(&m.drop);
    assert_int_equal(mem_live_count(), 0);
}

static void test_slot_held_twice(void **state)
{
    struct drop drop;
    struct drop_pending *pending;

    (void)state;
    assert_int_equal(drop_init(&drop, 10), ERR_OK);
    assert_int_equal(drop_add(&drop, 1, 5, false, &pending), ERR_OK);
    assert_int_equal(drop_add(&drop, 2, 5, false, &pending), ERR_OK);
    assert_int_equal(drop_settle_returned(&drop), ERR_CONFLICT);
    drop_fini(&drop);
}

/* Numbers above the quantity do not come back, whichever way they are given up. */
static void test_above_the_quantity(void **state)
{
    struct drop drop;
    struct drop_pending *pending;

    (void)state;
    assert_int_equal(drop_init(&drop, 3), ERR_OK);
    assert_int_equal(drop_add(&drop, 1, 6, true, &pending), ERR_OK);
    assert_int_equal(drop_settle_returned(&drop), ERR_OK);
    assert_int_equal(drop.next_slot, 7);
    assert_int_equal(drop_remaining(&drop), 3); /* 1, 2, 3 */
    drop_remove(&drop, drop_find(&drop, 1), true);
    assert_int_equal(drop_remaining(&drop), 3);
    for (int64_t user = 11; user <= 13; user++) {
        assert_int_equal(drop_grant(&drop, user, 1, 1, &pending), ERR_OK);
        assert_int_equal(pending->slot, user - 10);
    }
    assert_int_equal(drop_grant(&drop, 14, 1, 1, &pending), ERR_NOT_FOUND);
    drop_fini(&drop);
}

static void test_grant_at(void **state)
{
    static const struct {
        int64_t asked, given;
    } rows[] = { { 4, 4 }, { 2, 2 }, { 4, 1 }, { 9, 3 }, { -1, 5 }, { 6, 6 } };
    struct drop drop;
    struct drop_pending *pending;

    (void)state;
    assert_int_equal(drop_init(&drop, 6), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(drop_grant_at(&drop, (int64_t)i + 1, rows[i].asked, 1, 1, &pending),
                         ERR_OK);
        assert_int_equal(pending->slot, rows[i].given);
        assert_int_equal(drop_remaining(&drop), 5 - i);
    }
    assert_int_equal(drop_grant_at(&drop, 99, 3, 1, 1, &pending), ERR_NOT_FOUND);
    drop_fini(&drop);
}

static size_t bytes_of(const struct drop *drop)
{
    size_t bytes = drop->shard_count * sizeof *drop->shards;

    for (size_t i = 0; i < drop->shard_count; i++)
        bytes += drop->shards[i].cells * sizeof *drop->shards[i].seats;
    return bytes + drop->pending_cap * sizeof *drop->pending +
           drop->returned_cap * sizeof *drop->returned;
}

/* At most 40 bytes a holder, at every size on the way, with some thousands pending. */
static void test_memory(void **state)
{
    enum { HOLDERS = 1000000, PENDING = 4096 };
    struct drop drop;
    struct drop_pending *pending;
    size_t worst = 0;

    (void)state;
    assert_int_equal(drop_init(&drop, HOLDERS), ERR_OK);
    for (int64_t user = 1; user <= HOLDERS; user++) {
        assert_int_equal(drop_grant(&drop, user, 1, 1, &pending), ERR_OK);
        if (user > PENDING)
            drop_confirm(&drop, drop_find(&drop, user - PENDING));
        if (user > HOLDERS / 2 && user % 1000 == 0)
            worst = MAX(worst, bytes_of(&drop) * 10 / (size_t)user);
    }
    assert_true(worst <= 400);
    drop_fini(&drop);
    assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_slot_held_twice),
        cmocka_unit_test(test_above_the_quantity),
        cmocka_unit_test(test_grant_at),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
