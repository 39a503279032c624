// SPDX-License-Identifier: Apache-2.0
// Each of 30 people has a cart of their own: what they change is what the next read shows, whichever
// connection it comes by. FORM=short: 5 s instead of 20.
import exec from 'k6/execution';
import { call, counts, fail, pick, PRODUCTS, setUp, SHORT, summary, summaryTrendStats, thresholds } from './shop.js';

const FIRST_USER = 1000;

export const options = {
  scenarios: { carts: { executor: 'constant-vus', vus: 30, duration: SHORT ? '5s' : '20s' } },
  thresholds: thresholds({ cart: ['p(95)<300', 'p(99)<800'] }, { reads: ['count>300'] }),
  summaryTrendStats,
};

export const setup = setUp;

const lines = {}; // of this VU's cart: product -> quantity

function looked(cart, after) {
  const shown = {};
  cart.items.forEach((item) => {
    shown[item.productId] = item.quantity;
  });
  const total = Object.entries(lines).reduce((sum, [id, n]) => sum + n * PRODUCTS.find((p) => p[0] === Number(id))[1], 0);
  const sorted = (object) => JSON.stringify(Object.entries(object).sort());
  if (sorted(shown) !== sorted(lines) || cart.totalAmount !== total) {
    fail(`after ${after}: ${sorted(shown)} for ${cart.totalAmount} instead of ${sorted(lines)} for ${total}`);
  }
}

export default function () {
  const userId = FIRST_USER + exec.vu.idInTest;
  const [productId] = pick(PRODUCTS);
  const quantity = 1 + Math.floor(Math.random() * 5);
  const route = '/api/cart/items';
  const what = lines[productId] ? pick(['add', 'set', 'remove']) : 'add';
  if (what === 'add') {
    const cart = call('POST', 'cart', route, route, { userId, productId, quantity }, 201);
    if (!cart) return;
    lines[productId] = (lines[productId] || 0) + quantity;
    looked(cart, what);
  } else if (what === 'set') {
    if (!call('PUT', 'cart', route, route, { userId, productId, quantity })) return;
    lines[productId] = quantity;
  } else {
    if (!call('DELETE', 'cart', route, route, { userId, productId })) return;
    delete lines[productId];
  }
  const cart = call('GET', 'cart', '/api/cart', `/api/cart?userId=${userId}`);
  if (!cart) return;
  counts.reads.add(1);
  looked(cart, what);
}

export const handleSummary = summary('cartReadYourWrites');
