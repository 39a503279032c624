// SPDX-License-Identifier: Apache-2.0
// Impatient people: every order, payment, charge and cancellation is sent two or three times at the
// same moment with the same key, and once more later. All answers have the same bytes, and each has
// one effect. FORM=short: 6 s instead of 20.
import http from 'k6/http';
import {
  anyBuyer, anyItems, counts, fail, request, setUp, SHORT, summary, summaryTrendStats, thresholds, unique,
} from './shop.js';

export const options = {
  scenarios: { impatient: { executor: 'constant-vus', vus: 20, duration: SHORT ? '6s' : '20s' } },
  thresholds: thresholds({}, { http_req_duration: ['p(99)<1500'], ordered: ['count>50'] }),
  batchPerHost: 6,
  summaryTrendStats,
};

export const setup = setUp;

const waiting = []; // requests of before, with the bytes that were answered

// The answer that all of them must have.
function atOnce(path, body, status) {
  const times = Math.random() < 0.5 ? 2 : 3;
  const answers = http.batch(Array.from({ length: times }, () => request(path, body)));
  const [first] = answers;
  const same = answers.every((answer) => answer.status === status && answer.body === first.body);
  if (!same) {
    fail(`${path} ${JSON.stringify(body)}: ${answers.map((answer) => `${answer.status} ${answer.body}`).join(' and ')}`);
    return null;
  }
  waiting.push({ path, body, status, answer: first.body });
  return first.json();
}

function later() {
  const { path, body, status, answer } = waiting.splice(Math.floor(Math.random() * waiting.length), 1)[0];
  const again = http.batch([request(path, body)])[0];
  if (again.status !== status || again.body !== answer) fail(`${path} later: ${again.status} ${again.body}, was ${answer}`);
}

export default function () {
  const userId = anyBuyer();
  const key = unique();
  const amount = 1 + Math.floor(Math.random() * 1000);
  if (atOnce(`/api/users/${userId}/balance/charge`, { amount, idempotencyKey: `charge-${key}` }, 200)) {
    counts.charged.add(1);
    counts.charged_won.add(amount);
  }
  const made = atOnce('/api/orders', { userId, items: anyItems(), idempotencyKey: `order-${key}` }, 201);
  if (!made) return;
  counts.ordered.add(1);
  if (!atOnce(`/api/orders/${made.orderId}/payment`, { userId, idempotencyKey: `pay-${key}` }, 200)) return;
  counts.paid.add(1);
  if (Math.random() < 0.3 && atOnce(`/api/orders/${made.orderId}/cancel`, { userId, idempotencyKey: `cancel-${key}` }, 200)) {
    counts.refunded.add(1);
  }
  later();
}

export const handleSummary = summary('idempotentReplays');
