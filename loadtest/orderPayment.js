// SPDX-License-Identifier: Apache-2.0
// 50 people order and pay: all of them from one wallet (WAY=one), or each from their own (WAY=many).
// One in ten is refunded. FORM=short: 5 s instead of 20.
import {
  anyBuyer, anyItems, cancel, order, pay, setUp, SHORT, summary, summaryTrendStats, thresholds, unique,
} from './shop.js';

const WAY = __ENV.WAY || 'many';
const RICH = 1; // 20,000,000,000 won

export const options = {
  scenarios: { buyers: { executor: 'constant-vus', vus: 50, duration: SHORT ? '5s' : '20s' } },
  thresholds: thresholds(
    { order: ['p(95)<300', 'p(99)<800'], payment: ['p(95)<300', 'p(99)<800'] },
    { paid: ['count>200'], refunded: ['count>10'] },
  ),
  summaryTrendStats,
};

export const setup = setUp;

export default function () {
  const key = unique();
  const made = order(WAY === 'one' ? RICH : anyBuyer(), anyItems(), key);
  if (made && pay(made, key) && Math.random() < 0.1) cancel(made, key);
}

export const handleSummary = summary(`orderPayment:${WAY}`);
