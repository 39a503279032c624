// SPDX-License-Identifier: Apache-2.0
// An open loop: people come at their own rate, 500 a second (RATE), however slow the answers are, on
// a coupon of its own that half of them get. Each is somebody else, of users 300000-309999. An
// iteration that could not be begun in time is dropped; more than 1 % of them is a failure.
// WAY: reserve (default), issue or mixed. FORM=short: 300 a second for 5 s.
import exec from 'k6/execution';
import { createCoupon, fail, SHORT, summary, summaryTrendStats, take, thresholds, wayOf } from './drop.js';

const WAY = __ENV.WAY || 'reserve';
const FIRST_USER = 300000;
const USERS = 10000;
const RATE = Number(__ENV.RATE || (SHORT ? 300 : 500));
const SECONDS = Number(__ENV.SECONDS || (SHORT ? 5 : 19));
const PEOPLE = RATE * SECONDS;
const QUANTITY = Math.floor(PEOPLE / 2);

export const options = {
  scenarios: {
    arrivals: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: `${SECONDS}s`,
      preAllocatedVUs: 100,
      maxVUs: 400,
    },
  },
  thresholds: thresholds(WAY, QUANTITY, {
    sold_out: ['count>0'],
    dropped_iterations: [`count<=${Math.floor(PEOPLE / 100)}`],
  }),
  summaryTrendStats,
};

export function setup() {
  return createCoupon('arrivalRate', QUANTITY);
}

export default function ({ couponId }) {
  const iteration = exec.scenario.iterationInTest;
  if (iteration >= USERS) {
    fail('there are no more users');
    return;
  }
  take(wayOf(WAY, iteration), couponId, FIRST_USER + iteration);
}

export const handleSummary = summary('arrivalRate');
