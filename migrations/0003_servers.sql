-- SPDX-License-Identifier: Apache-2.0
-- A gate whose life is being ended grants nothing more; what it granted is stored. (On PostgreSQL
-- this migration also has what several servers tell each other.)

ALTER TABLE coupons ADD COLUMN closing INTEGER NOT NULL DEFAULT 0;
