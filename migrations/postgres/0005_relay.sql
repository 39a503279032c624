-- SPDX-License-Identifier: Apache-2.0
-- Which sums have changed, for whoever copies them to a ranking that several servers share. Rows are
-- only added, in the transaction of the sums, and struck out once they are copied, so nobody waits
-- for anybody.

CREATE TABLE sales_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day bigint NOT NULL,
    product_id bigint NOT NULL,
    noted_at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
