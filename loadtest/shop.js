// SPDX-License-Identifier: Apache-2.0
// What the scripts of the shop share: buying, charging, telling outcomes apart, and the line at the
// end. What they count is compared with the database by check.py.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { BASE_URL, crossed, fail, setUp as none, SHORT, summaryTrendStats } from './drop.js';

export { BASE_URL, fail, SHORT, summaryTrendStats };

// Products of the load-test data and their prices. run.sh sees to it that there are enough of them.
export const PRODUCTS = [[13, 38000], [15, 35000], [17, 25000], [19, 12000], [20, 1000]];
export const BUYERS = { first: 4, count: 150 }; // 100,000,000 won each

export const counts = {
  ordered: new Counter('ordered'),
  paid: new Counter('paid'),
  refunded: new Counter('refunded'),
  charged: new Counter('charged'),
  charged_won: new Counter('charged_won'),
  reads: new Counter('reads'),
};
const took = {};
['order', 'payment', 'cancel', 'charge', 'cart', 'ranking', 'read'].forEach((what) => {
  took[what] = new Trend(`${what}_ms`, true);
});

const headers = { 'Content-Type': 'application/json' };

// Thresholds of every script; limits: milliseconds, as { order: ['p(95)<500'] }.
export function thresholds(limits, others = {}) {
  const rules = { errors: ['count==0'], http_req_failed: ['rate==0'], ...others };
  Object.entries(limits).forEach(([what, list]) => {
    rules[`${what}_ms`] = list;
  });
  return rules;
}

// A number of this run that no other iteration has.
export function unique() {
  return `${exec.vu.idInTest}-${exec.vu.iterationInScenario}`;
}

export function pick(list) {
  return list[Math.floor(Math.random() * list.length)];
}

export function anyBuyer() {
  return BUYERS.first + Math.floor(Math.random() * BUYERS.count);
}

// One call that must have that status; its JSON, or null and an error counted. `name` is the route.
export function call(method, what, name, path, body, status = 200) {
  const answer = http.request(method, BASE_URL + path, body ? JSON.stringify(body) : null, {
    headers: body ? headers : {},
    tags: { name },
    responseCallback: http.expectedStatuses(status),
  });
  took[what].add(answer.timings.duration);
  if (answer.status !== status) {
    fail(`${method} ${path} ${body ? JSON.stringify(body) : ''}: ${answer.status} ${answer.body}`);
    return null;
  }
  return answer.body ? answer.json() : {};
}

export function request(path, body) {
  return { method: 'POST', url: BASE_URL + path, body: JSON.stringify(body), params: { headers } };
}

export function order(userId, items, key) {
  const made = call('POST', 'order', '/api/orders', '/api/orders', { userId, items, idempotencyKey: `order-${key}` }, 201);
  if (!made) return null;
  counts.ordered.add(1);
  const total = items.reduce((sum, item) => sum + item.quantity * PRODUCTS.find(([id]) => id === item.productId)[1], 0);
  if (made.totalAmount !== total || made.status !== 'PENDING' || made.userId !== userId) {
    fail(`order of ${total} won: ${JSON.stringify(made)}`);
  }
  return made;
}

export function pay(made, key) {
  const path = `/api/orders/${made.orderId}/payment`;
  const body = { userId: made.userId, idempotencyKey: `pay-${key}` };
  const payment = call('POST', 'payment', '/api/orders/{orderId}/payment', path, body);
  if (!payment) return null;
  counts.paid.add(1);
  if (payment.paidAmount !== made.totalAmount || payment.orderId !== made.orderId || payment.status !== 'SUCCESS') {
    fail(`payment of ${made.totalAmount} won: ${JSON.stringify(payment)}`);
  }
  return payment;
}

export function cancel(made, key) {
  const path = `/api/orders/${made.orderId}/cancel`;
  const body = { userId: made.userId, idempotencyKey: `cancel-${key}` };
  const cancelled = call('POST', 'cancel', '/api/orders/{orderId}/cancel', path, body);
  if (cancelled) counts.refunded.add(1);
  return cancelled;
}

export function charge(userId, amount, key) {
  const path = `/api/users/${userId}/balance/charge`;
  const answer = call('POST', 'charge', '/api/users/{userId}/balance/charge', path, { amount, idempotencyKey: `charge-${key}` });
  if (!answer) return null;
  counts.charged.add(1);
  counts.charged_won.add(amount);
  if (answer.chargedAmount !== amount || answer.balance < amount) fail(`charge of ${amount} won: ${JSON.stringify(answer)}`);
  return answer;
}

// One or two products, up to 3 pieces of each.
export function anyItems() {
  const first = Math.floor(Math.random() * PRODUCTS.length);
  const numbers = Math.random() < 0.5 ? [first] : [first, (first + 1) % PRODUCTS.length];
  return numbers.map((at) => ({ productId: PRODUCTS[at][0], quantity: 1 + Math.floor(Math.random() * 3) }));
}

// The counters exist, whatever happens.
export function setUp() {
  Object.values(counts).forEach((counter) => counter.add(0));
  none();
}

function times(metrics) {
  return Object.keys(took)
    .filter((what) => metrics[`${what}_ms`] && metrics[`${what}_ms`].values.max > 0)
    .map((what) => {
      const { values } = metrics[`${what}_ms`];
      return `${what} p95 ${values['p(95)'].toFixed(1)} ms, p99 ${values['p(99)'].toFixed(1)} ms`;
    });
}

export function summary(name) {
  return (data) => {
    const { metrics } = data;
    const count = (key) => (metrics[key] ? metrics[key].values.count : 0);
    const result = { name, iterations: count('iterations'), errors: count('errors'), crossed: crossed(metrics) };
    Object.keys(counts).forEach((key) => {
      result[key] = count(key);
    });
    const counted = Object.keys(counts).filter((key) => result[key]).map((key) => `${result[key]} ${key.replace('_', ' ')}`);
    const parts = [
      [...counted, `${result.errors} errors`].join(', '),
      ...(count('dropped_iterations') ? [`${count('dropped_iterations')} dropped`] : []),
      ...times(metrics),
      result.crossed.length ? `CROSSED ${result.crossed.join(', ')}` : 'thresholds ok',
    ];
    const out = { stdout: `${name}: ${parts.join('; ')}\n` };
    if (__ENV.RESULT) out[__ENV.RESULT] = `${JSON.stringify(result)}\n`;
    return out;
  };
}
