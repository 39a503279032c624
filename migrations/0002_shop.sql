-- SPDX-License-Identifier: Apache-2.0
-- Products, carts, orders, payments, and what was sold when. Times are Unix milliseconds, days are
-- days since 1970-01-01 in the shop's zone, money is won.

-- What an open attempt to pay has taken is `held`: it belongs to nobody else, and comes back when
-- the gateway refuses. Counters, because lists say how many there are without counting.
ALTER TABLE users ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN incoming INTEGER NOT NULL DEFAULT 0;      -- open charges
ALTER TABLE users ADD COLUMN has_cart INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN orders_pending INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN orders_completed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN orders_cancelled INTEGER NOT NULL DEFAULT 0;

ALTER TABLE store ADD COLUMN next_order_id INTEGER NOT NULL DEFAULT 1;
ALTER TABLE store ADD COLUMN next_charge_id INTEGER NOT NULL DEFAULT 1;
ALTER TABLE store ADD COLUMN products INTEGER NOT NULL DEFAULT 0;      -- how many there are
ALTER TABLE store ADD COLUMN category_moved_at INTEGER NOT NULL DEFAULT 0;  -- boards of then are old

-- A charge that goes through the payment gateway: 0 while that is asked, then 200 or 402.
ALTER TABLE charges ADD COLUMN status INTEGER NOT NULL DEFAULT 200;
ALTER TABLE charges ADD COLUMN charge_id INTEGER NOT NULL DEFAULT 0;

CREATE TABLE products (
    product_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    category TEXT,
    price INTEGER NOT NULL CHECK (price >= 0),
    stock INTEGER NOT NULL CHECK (stock >= 0),     -- without what is held
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    created_at INTEGER NOT NULL
);
CREATE INDEX products_by_price ON products (price);
CREATE INDEX products_by_price_down ON products (price DESC, product_id);
CREATE INDEX products_by_age ON products (created_at);
CREATE INDEX products_of_category ON products (category, product_id);
CREATE INDEX products_of_category_by_price ON products (category, price);
CREATE INDEX products_of_category_by_price_down ON products (category, price DESC, product_id);
CREATE INDEX products_of_category_by_age ON products (category, created_at);

CREATE TABLE categories (
    category TEXT PRIMARY KEY,
    products INTEGER NOT NULL CHECK (products >= 0)
) WITHOUT ROWID;

CREATE TABLE cart_lines (
    user_id INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 1),
    line INTEGER NOT NULL,                          -- grows with every line of that cart
    PRIMARY KEY (user_id, product_id)
) WITHOUT ROWID;

CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    status INTEGER NOT NULL,                        -- 0 pending, 1 completed, 2 cancelled
    coupon_id INTEGER,
    subtotal INTEGER NOT NULL,
    discount INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    paid_at INTEGER,
    cancelled_at INTEGER,
    sold_day INTEGER,                               -- the day of paid_at
    transaction_id TEXT,                            -- of the payment gateway
    attempts INTEGER NOT NULL DEFAULT 0,            -- made so far, of either kind
    open_attempt INTEGER NOT NULL DEFAULT 0         -- number of the one that is open; 0: none
);
CREATE INDEX orders_of_user ON orders (user_id, status, order_id);

CREATE TABLE order_lines (
    order_id INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 1),
    unit_price INTEGER NOT NULL,
    PRIMARY KEY (order_id, product_id)
) WITHOUT ROWID;

-- What was asked of orders, once per user, operation and key, and what came of it. The answer's
-- bytes go after a day, the rest stays.
CREATE TABLE order_keys (
    user_id INTEGER NOT NULL,
    operation INTEGER NOT NULL,                     -- 1 order, 2 payment, 3 cancel, 4 complete
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    order_id INTEGER NOT NULL,
    status INTEGER NOT NULL,                        -- of the answer; 0: the gateway is being asked
    balance_after INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    answer BLOB,
    PRIMARY KEY (user_id, operation, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX order_keys_answered ON order_keys (answered_at) WHERE answer IS NOT NULL;

-- Attempts to have the payment gateway move money. `claim` counts who settled it: an older claim
-- has no say any more.
CREATE TABLE attempts (
    kind INTEGER NOT NULL,                          -- 1 payment, 2 charge, 3 refund
    subject_id INTEGER NOT NULL,                    -- order_id or charge_id
    number INTEGER NOT NULL,
    state INTEGER NOT NULL,                         -- 0 open, 1 done, 2 refused, 3 given up
    claim INTEGER NOT NULL DEFAULT 0,
    user_id INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    idempotency_key TEXT,
    started_at INTEGER NOT NULL,
    settled_at INTEGER,
    transaction_id TEXT,
    PRIMARY KEY (kind, subject_id, number)
) WITHOUT ROWID;
CREATE INDEX attempts_open ON attempts (started_at) WHERE state = 0;

-- The sums that the ranking copies. A version grows with every change of its sum.
CREATE TABLE sales (
    day INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    units INTEGER NOT NULL,
    revenue INTEGER NOT NULL,                       -- before discounts
    reached_at INTEGER NOT NULL,                    -- when `units` changed last
    version INTEGER NOT NULL,
    PRIMARY KEY (day, product_id)
) WITHOUT ROWID;
CREATE TABLE sales_days (
    day INTEGER PRIMARY KEY,
    version INTEGER NOT NULL                        -- sum of the versions of its sums
);

-- The backup: finished boards, the first 100 of each. A higher version replaces a lower one.
CREATE TABLE boards (
    sales_window INTEGER NOT NULL,                  -- 0 daily, 1 weekly, 2 monthly, 3 rolling
    day INTEGER NOT NULL,                           -- last day of the window
    category TEXT NOT NULL,                         -- '': all products
    version INTEGER NOT NULL,                       -- sum of the versions of its days
    made_at INTEGER NOT NULL,
    entries TEXT NOT NULL,                          -- JSON: [[product_id, units, revenue, reached_at], …]
    PRIMARY KEY (sales_window, day, category)
) WITHOUT ROWID;
