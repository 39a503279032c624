// SPDX-License-Identifier: Apache-2.0
#include "gate/gate.h"

#include "gate/gate_backend.h"

struct gate_client *gate_client_new(struct gate *gate, struct loop *loop,
                                    struct metrics_slot *metrics)
{
    return gate->backend->client_new(gate, loop, metrics);
}

struct gate_client *gate_client_free(struct gate_client *client)
{
    return client ? client->gate->backend->client_free(client) : NULL;
}

bool gate_is_shared(const struct gate *gate)
{
    return gate->backend->is_shared;
}

bool gate_client_is_idle(struct gate_client *client)
{
    return client->gate->backend->client_is_idle(client);
}

uint64_t gate_token(struct gate *gate)
{
    return gate->backend->token(gate);
}

void gate_ask(struct gate_client *client, struct gate_ask *ask)
{
    client->gate->backend->ask(client, ask);
}

void gate_confirm(struct gate_client *client, const struct gate_entry *entry)
{
    client->gate->backend->confirm(client, entry);
}

void gate_release(struct gate_client *client, const struct gate_entry *entry)
{
    client->gate->backend->release(client, entry);
}

void gate_move(struct gate_client *client, struct gate_move *move)
{
    client->gate->backend->move(client, move);
}

void gate_sweep(struct gate_client *client, struct gate_sweep *sweep)
{
    client->gate->backend->sweep(client, sweep);
}

void gate_refresh(struct gate_client *client, struct gate_refresh *refresh)
{
    client->gate->backend->refresh(client, refresh);
}

enum err gate_set(struct gate *gate, int64_t coupon_id, const struct coupon_settings *settings)
{
    return gate->backend->set(gate, coupon_id, settings);
}

void gate_close(struct gate *gate, int64_t coupon_id)
{
    gate->backend->close(gate, coupon_id);
}

void gate_reopen(struct gate *gate, int64_t coupon_id)
{
    gate->backend->reopen(gate, coupon_id);
}

enum err gate_adopt(struct gate *gate, int64_t coupon_id, int64_t epoch,
                    const struct coupon_settings *settings)
{
    return gate->backend->adopt(gate, coupon_id, epoch, settings);
}

enum err gate_seal(struct gate *gate, int64_t coupon_id, int64_t epoch)
{
    return gate->backend->seal(gate, coupon_id, epoch);
}

void gate_lease_set(struct gate *gate, uint64_t until_boot_ms)
{
    gate->backend->lease_set(gate, until_boot_ms);
}

enum err gate_rebuild_begin(struct gate *gate, int64_t coupon_id, int64_t epoch,
                            const struct coupon_settings *settings,
                            struct gate_rebuild **ret_rebuild)
{
    return gate->backend->rebuild_begin(gate, coupon_id, epoch, settings, ret_rebuild);
}

enum err gate_rebuild_add(struct gate_rebuild *rebuild, int64_t slot, int64_t user_id)
{
    return rebuild->gate->backend->rebuild_add(rebuild, slot, user_id);
}

enum err gate_rebuild_open(struct gate_rebuild *rebuild, int64_t holders)
{
    return rebuild->gate->backend->rebuild_open(rebuild, holders);
}

struct gate_rebuild *gate_rebuild_free(struct gate_rebuild *rebuild)
{
    return rebuild ? rebuild->gate->backend->rebuild_free(rebuild) : NULL;
}

struct gate_status gate_status(struct gate *gate, int64_t coupon_id)
{
    return gate->backend->status(gate, coupon_id);
}

enum err gate_status_read(struct gate *gate, int64_t coupon_id, struct gate_status *ret_status)
{
    return gate->backend->status_read(gate, coupon_id, ret_status);
}

uint64_t gate_oldest_pending_ms(struct gate *gate, int64_t coupon_id)
{
    return gate->backend->oldest_pending_ms(gate, coupon_id);
}

enum err gate_picture(struct gate *gate, int64_t coupon_id, struct gate_picture *ret_picture)
{
    return gate->backend->picture(gate, coupon_id, ret_picture);
}

void gate_look(struct gate_client *client, struct gate_look *look)
{
    client->gate->backend->look(client, look);
}

void gate_fault_set(struct gate *gate, bool on)
{
    gate->backend->fault_set(gate, on);
}

bool gate_is_usable(struct gate *gate)
{
    return gate->backend->is_usable(gate);
}

struct gate_stats gate_stats(struct gate *gate)
{
    return gate->backend->stats(gate);
}
