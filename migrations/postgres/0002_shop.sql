-- SPDX-License-Identifier: Apache-2.0
-- The same tables as of the embedded store, level by level.
-- Products, carts, orders, payments, and what was sold when. Times are Unix milliseconds, days are
-- days since 1970-01-01 in the shop's zone, money is won.

-- What an open attempt to pay has taken is `held`: it belongs to nobody else, and comes back when
-- the gateway refuses. Counters, because lists say how many there are without counting.
ALTER TABLE users ADD COLUMN held bigint NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN incoming bigint NOT NULL DEFAULT 0;      -- open charges
ALTER TABLE users ADD COLUMN has_cart bigint NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN orders_pending bigint NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN orders_completed bigint NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN orders_cancelled bigint NOT NULL DEFAULT 0;

ALTER TABLE store ADD COLUMN next_order_id bigint NOT NULL DEFAULT 1;
ALTER TABLE store ADD COLUMN next_charge_id bigint NOT NULL DEFAULT 1;
ALTER TABLE store ADD COLUMN products bigint NOT NULL DEFAULT 0;      -- how many there are
ALTER TABLE store ADD COLUMN category_moved_at bigint NOT NULL DEFAULT 0;  -- boards of then are old

-- A charge that goes through the payment gateway: 0 while that is asked, then 200 or 402.
ALTER TABLE charges ADD COLUMN status bigint NOT NULL DEFAULT 200;
ALTER TABLE charges ADD COLUMN charge_id bigint NOT NULL DEFAULT 0;

CREATE TABLE products (
    product_id bigint PRIMARY KEY,
    name text NOT NULL,
    description text,
    category text COLLATE "C",
    price bigint NOT NULL CHECK (price >= 0),
    stock bigint NOT NULL CHECK (stock >= 0),     -- without what is held
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    created_at bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX products_by_price ON products (price, product_id);
CREATE INDEX products_by_price_down ON products (price DESC, product_id);
CREATE INDEX products_by_age ON products (created_at, product_id);
CREATE INDEX products_of_category ON products (category, product_id);
CREATE INDEX products_of_category_by_price ON products (category, price, product_id);
CREATE INDEX products_of_category_by_price_down ON products (category, price DESC, product_id);
CREATE INDEX products_of_category_by_age ON products (category, created_at, product_id);

CREATE TABLE categories (
    category text COLLATE "C" PRIMARY KEY,
    products bigint NOT NULL CHECK (products >= 0)
);

CREATE TABLE cart_lines (
    user_id bigint NOT NULL,
    product_id bigint NOT NULL,
    quantity bigint NOT NULL CHECK (quantity >= 1),
    line bigint NOT NULL,                          -- grows with every line of that cart
    PRIMARY KEY (user_id, product_id)
);

CREATE TABLE orders (
    order_id bigint PRIMARY KEY,
    user_id bigint NOT NULL,
    status bigint NOT NULL,                        -- 0 pending, 1 completed, 2 cancelled
    coupon_id bigint,
    subtotal bigint NOT NULL,
    discount bigint NOT NULL,
    created_at bigint NOT NULL,
    paid_at bigint,
    cancelled_at bigint,
    sold_day bigint,                               -- the day of paid_at
    transaction_id text,                            -- of the payment gateway
    attempts bigint NOT NULL DEFAULT 0,            -- made so far, of either kind
    open_attempt bigint NOT NULL DEFAULT 0         -- number of the one that is open; 0: none
);
CREATE INDEX orders_of_user ON orders (user_id, status, order_id);

CREATE TABLE order_lines (
    order_id bigint NOT NULL,
    product_id bigint NOT NULL,
    name text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity >= 1),
    unit_price bigint NOT NULL,
    PRIMARY KEY (order_id, product_id)
);

-- What was asked of orders, once per user, operation and key, and what came of it. The answer's
-- bytes go after a day, the rest stays.
CREATE TABLE order_keys (
    user_id bigint NOT NULL,
    operation bigint NOT NULL,                     -- 1 order, 2 payment, 3 cancel, 4 complete
    idempotency_key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    order_id bigint NOT NULL,
    status bigint NOT NULL,                        -- of the answer; 0: the gateway is being asked
    balance_after bigint NOT NULL,
    answered_at bigint NOT NULL,
    answer bytea,
    PRIMARY KEY (user_id, operation, idempotency_key)
);
CREATE INDEX order_keys_answered ON order_keys (answered_at) WHERE answer IS NOT NULL;

-- Attempts to have the payment gateway move money. `claim` counts who settled it: an older claim
-- has no say any more.
CREATE TABLE attempts (
    kind bigint NOT NULL,                          -- 1 payment, 2 charge, 3 refund
    subject_id bigint NOT NULL,                    -- order_id or charge_id
    number bigint NOT NULL,
    state bigint NOT NULL,                         -- 0 open, 1 done, 2 refused, 3 given up
    claim bigint NOT NULL DEFAULT 0,
    user_id bigint NOT NULL,
    amount bigint NOT NULL,
    operation bigint NOT NULL,
    idempotency_key text COLLATE "C",
    started_at bigint NOT NULL,
    settled_at bigint,
    transaction_id text,
    PRIMARY KEY (kind, subject_id, number)
);
CREATE INDEX attempts_open ON attempts (started_at) WHERE state = 0;

-- The sums that the ranking copies. A version grows with every change of its sum.
CREATE TABLE sales (
    day bigint NOT NULL,
    product_id bigint NOT NULL,
    units bigint NOT NULL,
    revenue bigint NOT NULL,                       -- before discounts
    reached_at bigint NOT NULL,                    -- when `units` changed last
    version bigint NOT NULL,
    PRIMARY KEY (day, product_id)
);
CREATE TABLE sales_days (
    day bigint PRIMARY KEY,
    version bigint NOT NULL                        -- sum of the versions of its sums
);

-- The backup: finished boards, the first 100 of each. A higher version replaces a lower one.
CREATE TABLE boards (
    sales_window bigint NOT NULL,                  -- 0 daily, 1 weekly, 2 monthly, 3 rolling
    day bigint NOT NULL,                           -- last day of the window
    category text COLLATE "C" NOT NULL,                         -- '': all products
    version bigint NOT NULL,                       -- sum of the versions of its days
    made_at bigint NOT NULL,
    entries text NOT NULL,                          -- JSON: [[product_id, units, revenue, reached_at], …]
    PRIMARY KEY (sales_window, day, category)
);
