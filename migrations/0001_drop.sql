-- SPDX-License-Identifier: Apache-2.0
-- Users and their wallets, coupons and who holds them. Times are Unix milliseconds, money is won.

CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    database_id BLOB NOT NULL,             -- 16 random bytes: the gate journal names them
    profile TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    clock_offset_ms INTEGER NOT NULL DEFAULT 0,   -- profile test only
    next_user_coupon_id INTEGER NOT NULL DEFAULT 1,
    load_data INTEGER NOT NULL DEFAULT 0          -- the load-test data set is in
);

CREATE TABLE users (
    user_id INTEGER PRIMARY KEY,
    username TEXT,                          -- NULL: made from the id
    email TEXT,
    balance INTEGER NOT NULL CHECK (balance >= 0)
);

CREATE TABLE coupons (
    coupon_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    discount_rate INTEGER NOT NULL CHECK (discount_rate BETWEEN 0 AND 100),
    uses_per_user INTEGER NOT NULL CHECK (uses_per_user >= 0),     -- 0: unlimited
    total_quantity INTEGER NOT NULL CHECK (total_quantity >= 1),
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    closed INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    epoch INTEGER NOT NULL DEFAULT 0,
    issued INTEGER NOT NULL DEFAULT 0,      -- the witness: what the rows of user_coupons add up to
    highest_slot INTEGER NOT NULL DEFAULT 0,
    witness INTEGER NOT NULL DEFAULT 0
);

-- The fences: one row per slot, one row per user; the INSERT itself says slot <= total_quantity.
CREATE TABLE user_coupons (
    coupon_id INTEGER NOT NULL,
    slot INTEGER NOT NULL CHECK (slot >= 1),
    user_id INTEGER NOT NULL,
    user_coupon_id INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses INTEGER NOT NULL DEFAULT 0,
    used_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (coupon_id, slot),
    UNIQUE (user_id, coupon_id)
) WITHOUT ROWID;

-- A charge and its idempotency key are one row; the answer's bytes go after a day, the key stays.
CREATE TABLE charges (
    user_id INTEGER NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    amount INTEGER NOT NULL,
    balance_after INTEGER NOT NULL,
    charged_at INTEGER NOT NULL,
    answer BLOB,
    PRIMARY KEY (user_id, idempotency_key)
) WITHOUT ROWID;

-- Whose bytes are still kept, oldest first.
CREATE INDEX charges_answered ON charges (charged_at) WHERE answer IS NOT NULL;
