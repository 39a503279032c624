-- SPDX-License-Identifier: Apache-2.0
-- What a next version may do within one step: add. (For tests: test/distributed/test_upgrade.py.)

ALTER TABLE users ADD COLUMN next_points bigint NOT NULL DEFAULT 0;
ALTER TABLE coupons ADD COLUMN next_colour text;
ALTER TABLE user_coupons ADD COLUMN next_note text;
ALTER TABLE orders ADD COLUMN next_parcel bigint;
ALTER TABLE order_lines ADD COLUMN next_gift bigint NOT NULL DEFAULT 0;
ALTER TABLE products ADD COLUMN next_weight bigint NOT NULL DEFAULT 0;
ALTER TABLE charges ADD COLUMN next_reason text;
ALTER TABLE events ADD COLUMN next_at bigint;
ALTER TABLE store ADD COLUMN next_parcel_id bigint NOT NULL DEFAULT 1;
CREATE TABLE next_parcels (
    parcel_id bigint PRIMARY KEY,
    order_id bigint NOT NULL
);
CREATE INDEX next_orders_by_parcel ON orders (next_parcel) WHERE next_parcel IS NOT NULL;
