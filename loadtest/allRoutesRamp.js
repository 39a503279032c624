// SPDX-License-Identifier: Apache-2.0
// A day in a few seconds: traffic that grows and goes over every route that people use, mostly reads.
// FORM=short: 8 s instead of 40.
import {
  anyBuyer, anyItems, call, charge, counts, order, pay, cancel, pick, PRODUCTS, setUp, SHORT, summary, summaryTrendStats,
  thresholds, unique,
} from './shop.js';

const seconds = (long) => `${SHORT ? long / 5 : long}s`;

export const options = {
  scenarios: {
    ramp: {
      executor: 'ramping-vus',
      startVUs: 0,
      stages: [
        { duration: seconds(10), target: 40 },
        { duration: seconds(20), target: 100 },
        { duration: seconds(10), target: 0 },
      ],
    },
  },
  thresholds: thresholds(
    { read: ['p(95)<300', 'p(99)<800'], order: ['p(95)<700'], payment: ['p(95)<700'], charge: ['p(95)<700'] },
    { reads: ['count>500'], paid: ['count>20'] },
  ),
  summaryTrendStats,
};

export const setup = setUp;

const reads = [
  ['/api/products', () => '/api/products'],
  ['/api/products', () => `/api/products?sort=${pick(['price', 'price_desc', 'newest', 'popularity'])}&limit=10`],
  ['/api/products', () => `/api/products?category=${encodeURIComponent(pick(['전자제품', '도서', '의류']))}`],
  ['/api/products/{productId}', () => `/api/products/${pick(PRODUCTS)[0]}`],
  ['/api/products/top', () => '/api/products/top'],
  ['/api/products/ranking/top', () => `/api/products/ranking/top?window=${pick(['daily', 'weekly', 'monthly', 'rolling'])}`],
  ['/api/products/ranking/product/{productId}', () => `/api/products/ranking/product/${pick(PRODUCTS)[0]}?around=2`],
  ['/api/coupons', () => '/api/coupons'],
  ['/api/coupons/{couponId}', () => '/api/coupons/1'],
  ['/api/cart', () => `/api/cart?userId=${anyBuyer()}`],
  ['/api/orders', () => `/api/orders?userId=${anyBuyer()}&limit=10`],
  ['/api/users/{userId}', () => `/api/users/${anyBuyer()}`],
  ['/api/users/{userId}/balance', () => `/api/users/${anyBuyer()}/balance`],
  ['/api/users/{userId}/coupons', () => `/api/users/${anyBuyer()}/coupons`],
  ['/health/ready', () => '/health/ready'],
];

function read() {
  const [name, path] = pick(reads);
  if (call('GET', 'read', name, path())) counts.reads.add(1);
}

function buy() {
  const key = unique();
  const userId = anyBuyer();
  const items = anyItems();
  call('POST', 'cart', '/api/cart/items', '/api/cart/items', { userId, ...items[0] }, 201);
  const made = order(userId, items, key);
  if (!made) return;
  call('GET', 'read', '/api/orders/{orderId}', `/api/orders/${made.orderId}`);
  const dice = Math.random();
  if (dice < 0.1) {
    cancel(made, key);
  } else if (pay(made, key) && dice < 0.2) {
    cancel(made, key);
  }
}

export default function () {
  const dice = Math.random();
  if (dice < 0.8) read();
  else if (dice < 0.95) buy();
  else charge(anyBuyer(), 1000, unique());
}

export const handleSummary = summary('allRoutesRamp');
