// SPDX-License-Identifier: Apache-2.0
// Traffic that grows and goes: 10 s to 20 people, 20 s to 50, 10 s to 0, on a coupon of its own. Each
// iteration is somebody else, of users 300000-309999. One in 20 winners watches until the row is
// stored, asking again and again: the number must stay, and the row be there within 2 s.
// WAY: reserve (default), issue or mixed. FORM=short: a quarter of it all.
import { sleep } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import {
  ask, createCoupon, fail, SHORT, summary, summaryTrendStats, take, thresholds, wayOf,
} from './drop.js';

const WAY = __ENV.WAY || 'reserve';
const FIRST_USER = 300000;
const USERS = 10000;
const QUANTITY = SHORT ? 500 : 2000;
const seconds = (long) => `${SHORT ? long / 4 : long}s`;

const watched = new Counter('watched');
const storedMs = new Trend('stored_ms', true);

export const options = {
  scenarios: {
    ramp: {
      executor: 'ramping-vus',
      startVUs: 0,
      stages: [
        { duration: seconds(10), target: 20 },
        { duration: seconds(20), target: 50 },
        { duration: seconds(10), target: 0 },
      ],
    },
  },
  thresholds: thresholds(WAY, QUANTITY, {
    sold_out: ['count>0'],
    stored_ms: ['p(95)<2000', 'max<3000'],
    watched: ['count>=10'],
  }),
  summaryTrendStats,
};

export function setup() {
  return createCoupon('rampUpTest', QUANTITY);
}

function watch(way, couponId, userId, number) {
  const start = Date.now();
  for (;;) {
    const { status, body } = ask(way, couponId, userId);
    if (status !== 409 || body.code !== 'C004' || body.sequenceNumber !== number) {
      fail(`user ${userId} has number ${number} and then hears ${status} ${JSON.stringify(body)}`);
      return;
    }
    if (body.userCouponId !== null) break;
    if (Date.now() - start > 10000) break;
    sleep(0.02);
  }
  storedMs.add(Date.now() - start);
  watched.add(1);
}

export default function ({ couponId }) {
  const iteration = exec.scenario.iterationInTest;
  if (iteration >= USERS) {
    fail('there are no more users');
    return;
  }
  const way = wayOf(WAY, iteration);
  const userId = FIRST_USER + iteration;
  const number = take(way, couponId, userId);
  if (number > 0 && iteration % 20 < 2) watch(way, couponId, userId, number);
  sleep(0.1 + Math.random() * 0.2);
}

export const handleSummary = summary('rampUpTest');
