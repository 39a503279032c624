-- SPDX-License-Identifier: Apache-2.0
-- What other systems are told. Times are Unix milliseconds.

ALTER TABLE coupons ADD COLUMN events INTEGER NOT NULL DEFAULT 0;      -- the number of the last one
ALTER TABLE users ADD COLUMN events INTEGER NOT NULL DEFAULT 0;

-- One row for each, written with its effect. What it says is in the rows that it names. When each
-- consumer had it: NULL: not yet; 0: it is not meant to.
CREATE TABLE events (
    kind INTEGER NOT NULL,                          -- 1 of a coupon, 2 of a user
    key_id INTEGER NOT NULL,                        -- which one
    number INTEGER NOT NULL,                        -- 1, 2, 3, … of that key
    type INTEGER NOT NULL,                          -- 1 coupon.issued, 2 order.completed, 3 order.cancelled
    subject_id INTEGER NOT NULL,                    -- the slot; the order
    occurred_at INTEGER NOT NULL,
    stream_at INTEGER,
    webhook_at INTEGER,
    PRIMARY KEY (kind, key_id, number)
) WITHOUT ROWID;
CREATE INDEX events_to_stream ON events (kind, key_id, number) WHERE stream_at IS NULL;
CREATE INDEX events_to_webhook ON events (kind, key_id, number) WHERE webhook_at IS NULL;
CREATE INDEX events_done ON events (max(stream_at, webhook_at))
    WHERE stream_at IS NOT NULL AND webhook_at IS NOT NULL;

-- What was given up. The key waits behind it.
CREATE TABLE dead_events (
    dead_id INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer INTEGER NOT NULL,                      -- 0 the stream, 1 the webhook
    kind INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    why TEXT NOT NULL,
    died_at INTEGER NOT NULL,
    UNIQUE (consumer, kind, key_id, number)
);

-- Who delivers to a consumer, and until when. Of several servers on one store.
CREATE TABLE event_relays (
    consumer INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
);
