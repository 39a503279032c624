-- SPDX-License-Identifier: Apache-2.0
-- What several servers tell each other. A gate whose life is being ended grants nothing more; what
-- it granted is stored. Times are the database's.

ALTER TABLE coupons ADD COLUMN closing bigint NOT NULL DEFAULT 0;

-- Signs of life: who has a lease, and until when.
CREATE TABLE servers (
    server_id bigint PRIMARY KEY,
    url text NOT NULL,
    lease_until bigint NOT NULL
);

-- "Everything that I hold of this coupon's gate in this epoch is stored, and I grant no more."
CREATE TABLE hand_ins (
    coupon_id bigint NOT NULL,
    epoch bigint NOT NULL,
    server_id bigint NOT NULL,
    PRIMARY KEY (coupon_id, epoch, server_id)
);
