-- SPDX-License-Identifier: Apache-2.0
-- What other systems are told. Times are Unix milliseconds.

ALTER TABLE coupons ADD COLUMN events bigint NOT NULL DEFAULT 0;       -- the number of the last one
ALTER TABLE users ADD COLUMN events bigint NOT NULL DEFAULT 0;

-- One row for each, written with its effect. What it says is in the rows that it names. When each
-- consumer had it: NULL: not yet; 0: it is not meant to.
CREATE TABLE events (
    kind bigint NOT NULL,                           -- 1 of a coupon, 2 of a user
    key_id bigint NOT NULL,                         -- which one
    number bigint NOT NULL,                         -- 1, 2, 3, … of that key
    type bigint NOT NULL,                           -- 1 coupon.issued, 2 order.completed, 3 order.cancelled
    subject_id bigint NOT NULL,                     -- the slot; the order
    occurred_at bigint NOT NULL,
    stream_at bigint,
    webhook_at bigint,
    PRIMARY KEY (kind, key_id, number)
);
CREATE INDEX events_to_stream ON events (kind, key_id, number) WHERE stream_at IS NULL;
CREATE INDEX events_to_webhook ON events (kind, key_id, number) WHERE webhook_at IS NULL;
CREATE INDEX events_done ON events (greatest(stream_at, webhook_at))
    WHERE stream_at IS NOT NULL AND webhook_at IS NOT NULL;

-- What was given up. The key waits behind it.
CREATE TABLE dead_events (
    dead_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer bigint NOT NULL,                       -- 0 the stream, 1 the webhook
    kind bigint NOT NULL,
    key_id bigint NOT NULL,
    number bigint NOT NULL,
    tries bigint NOT NULL,
    why text NOT NULL,
    died_at bigint NOT NULL,
    UNIQUE (consumer, kind, key_id, number)
);

-- Who delivers to a consumer, and until when. Of several servers on one store.
CREATE TABLE event_relays (
    consumer bigint PRIMARY KEY,
    owner bigint NOT NULL,
    lease_until bigint NOT NULL
);
