// SPDX-License-Identifier: Apache-2.0
// 100 people at the same moment, users 1000-1099, on VIP20 of the load-test data: 50 win, 50 hear
// "sold out". WAY: reserve (default), issue or mixed.
import exec from 'k6/execution';
import { setUp, summary, summaryTrendStats, take, thresholds, wayOf } from './drop.js';

const WAY = __ENV.WAY || 'reserve';
const VIP20 = 2;
const FIRST_USER = 1000;

export const options = {
  scenarios: {
    atOnce: { executor: 'per-vu-iterations', vus: 100, iterations: 1, maxDuration: '30s' },
  },
  thresholds: thresholds(WAY, 50, { sold_out: ['count==50'], iterations: ['count==100'] }),
  summaryTrendStats,
};

export function setup() {
  setUp();
  return { couponId: VIP20 };
}

export default function () {
  const iteration = exec.scenario.iterationInTest;
  take(wayOf(WAY, iteration), VIP20, FIRST_USER + iteration);
}

export const handleSummary = summary('extremeConcurrency');
