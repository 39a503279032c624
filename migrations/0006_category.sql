-- SPDX-License-Identifier: Apache-2.0
-- How often a product has changed its category: whoever copies it takes the later one.

ALTER TABLE products ADD COLUMN category_version INTEGER NOT NULL DEFAULT 0;
