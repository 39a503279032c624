// SPDX-License-Identifier: Apache-2.0
/* What an implementation of the gate provides: the functions of gate.h, behind one table. */
#pragma once
#include "gate/gate.h"

struct gate_backend {
    bool is_shared; /* its memory is not this server's: others use it, too */
    struct gate_client *(*client_new)(struct gate *gate, struct loop *loop,
                                      struct metrics_slot *metrics);
    struct gate_client *(*client_free)(struct gate_client *client);
    bool (*client_is_idle)(struct gate_client *client);
    uint64_t (*token)(struct gate *gate);
    void (*ask)(struct gate_client *client, struct gate_ask *ask);
    void (*confirm)(struct gate_client *client, const struct gate_entry *entry);
    void (*release)(struct gate_client *client, const struct gate_entry *entry);
    void (*move)(struct gate_client *client, struct gate_move *move);
    void (*sweep)(struct gate_client *client, struct gate_sweep *sweep);
    void (*refresh)(struct gate_client *client, struct gate_refresh *refresh);
    enum err (*set)(struct gate *gate, int64_t coupon_id, const struct coupon_settings *settings);
    void (*close)(struct gate *gate, int64_t coupon_id);
    void (*reopen)(struct gate *gate, int64_t coupon_id);
    enum err (*adopt)(struct gate *gate, int64_t coupon_id, int64_t epoch,
                      const struct coupon_settings *settings);
    enum err (*seal)(struct gate *gate, int64_t coupon_id, int64_t epoch);
    void (*lease_set)(struct gate *gate, uint64_t until_boot_ms);
    enum err (*rebuild_begin)(struct gate *gate, int64_t coupon_id, int64_t epoch,
                              const struct coupon_settings *settings,
                              struct gate_rebuild **ret_rebuild);
    enum err (*rebuild_add)(struct gate_rebuild *rebuild, int64_t slot, int64_t user_id);
    enum err (*rebuild_open)(struct gate_rebuild *rebuild, int64_t holders);
    struct gate_rebuild *(*rebuild_free)(struct gate_rebuild *rebuild);
    struct gate_status (*status)(struct gate *gate, int64_t coupon_id);
    enum err (*status_read)(struct gate *gate, int64_t coupon_id, struct gate_status *ret_status);
    uint64_t (*oldest_pending_ms)(struct gate *gate, int64_t coupon_id);
    enum err (*picture)(struct gate *gate, int64_t coupon_id, struct gate_picture *ret_picture);
    struct gate_stats (*stats)(struct gate *gate);
    bool (*is_usable)(struct gate *gate);
    void (*fault_set)(struct gate *gate, bool on);
    void (*look)(struct gate_client *client, struct gate_look *look);
};

/* First member of every implementation's own struct. */
struct gate {
    const struct gate_backend *backend;
};
struct gate_client {
    struct gate *gate;
};
struct gate_rebuild {
    struct gate *gate;
};
