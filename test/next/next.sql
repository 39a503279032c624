-- SPDX-License-Identifier: Apache-2.0
-- What a next version may do within one step: add. (For tests: test/distributed/test_upgrade.py.)

ALTER TABLE users ADD COLUMN next_points INTEGER NOT NULL DEFAULT 0;
ALTER TABLE coupons ADD COLUMN next_colour TEXT;
ALTER TABLE user_coupons ADD COLUMN next_note TEXT;
ALTER TABLE orders ADD COLUMN next_parcel INTEGER;
ALTER TABLE order_lines ADD COLUMN next_gift INTEGER NOT NULL DEFAULT 0;
ALTER TABLE products ADD COLUMN next_weight INTEGER NOT NULL DEFAULT 0;
ALTER TABLE charges ADD COLUMN next_reason TEXT;
ALTER TABLE events ADD COLUMN next_at INTEGER;
ALTER TABLE store ADD COLUMN next_parcel_id INTEGER NOT NULL DEFAULT 1;
CREATE TABLE next_parcels (
    parcel_id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL
);
CREATE INDEX next_orders_by_parcel ON orders (next_parcel) WHERE next_parcel IS NOT NULL;
