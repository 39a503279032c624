-- SPDX-License-Identifier: Apache-2.0
-- Which sums have changed, for whoever copies them to a ranking that several servers share. With
-- SQLite there is one server, which has its ranking in memory or copies it anew: nothing is noted.

CREATE TABLE sales_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    day INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    noted_at INTEGER NOT NULL
);
