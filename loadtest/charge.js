// SPDX-License-Identifier: Apache-2.0
// 50 people charge: all of them one wallet (WAY=one), or each somebody else's of 10,000 (WAY=many).
// FORM=short: 5 s instead of 20.
import {
  charge, setUp, SHORT, summary, summaryTrendStats, thresholds, unique,
} from './shop.js';

const WAY = __ENV.WAY || 'one';

export const options = {
  scenarios: { charges: { executor: 'constant-vus', vus: 50, duration: SHORT ? '5s' : '20s' } },
  thresholds: thresholds({ charge: ['p(95)<300', 'p(99)<800'] }, { charged: ['count>500'] }),
  summaryTrendStats,
};

export const setup = setUp;

export default function () {
  const userId = WAY === 'one' ? 2 : 1000 + Math.floor(Math.random() * 10000);
  charge(userId, 1 + Math.floor(Math.random() * 1000), unique());
}

export const handleSummary = summary(`charge:${WAY}`);
