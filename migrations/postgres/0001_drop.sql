-- SPDX-License-Identifier: Apache-2.0
-- The same tables as of the embedded store, level by level.
-- Users and their wallets, coupons and who holds them. Times are Unix milliseconds, money is won.

CREATE TABLE store (
    one bigint PRIMARY KEY CHECK (one = 1),
    database_id bytea NOT NULL,             -- 16 random bytes: the gate journal names them
    profile text NOT NULL,
    time_zone text NOT NULL,
    clock_offset_ms bigint NOT NULL DEFAULT 0,   -- profile test only
    next_user_coupon_id bigint NOT NULL DEFAULT 1,
    load_data bigint NOT NULL DEFAULT 0          -- the load-test data set is in
) WITH (fillfactor = 20);                         -- room beside a row: what changes stays in its page

CREATE TABLE users (
    user_id bigint PRIMARY KEY,
    username text,                          -- NULL: made from the id
    email text,
    balance bigint NOT NULL CHECK (balance >= 0)
) WITH (fillfactor = 80);

CREATE TABLE coupons (
    coupon_id bigint PRIMARY KEY,
    name text NOT NULL,
    discount_rate bigint NOT NULL CHECK (discount_rate BETWEEN 0 AND 100),
    uses_per_user bigint NOT NULL CHECK (uses_per_user >= 0),     -- 0: unlimited
    total_quantity bigint NOT NULL CHECK (total_quantity >= 1),
    starts_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    closed bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    epoch bigint NOT NULL DEFAULT 0,
    issued bigint NOT NULL DEFAULT 0,      -- the witness: what the rows of user_coupons add up to
    highest_slot bigint NOT NULL DEFAULT 0,
    witness bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

-- The fences: one row per slot, one row per user; the INSERT itself says slot <= total_quantity.
CREATE TABLE user_coupons (
    coupon_id bigint NOT NULL,
    slot bigint NOT NULL CHECK (slot >= 1),
    user_id bigint NOT NULL,
    user_coupon_id bigint NOT NULL,
    issued_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    uses bigint NOT NULL DEFAULT 0,
    used_at bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (coupon_id, slot),
    UNIQUE (user_id, coupon_id)
);

-- A charge and its idempotency key are one row; the answer's bytes go after a day, the key stays.
CREATE TABLE charges (
    user_id bigint NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    amount bigint NOT NULL,
    balance_after bigint NOT NULL,
    charged_at bigint NOT NULL,
    answer bytea,
    PRIMARY KEY (user_id, idempotency_key)
);

-- Whose bytes are still kept, oldest first.
CREATE INDEX charges_answered ON charges (charged_at) WHERE answer IS NOT NULL;
