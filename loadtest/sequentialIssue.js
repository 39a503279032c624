// SPDX-License-Identifier: Apache-2.0
// One person after another, users 200000-200099, is issued WELCOME10 of the load-test data: all 100
// win, with the numbers 1 to 100 in order.
import exec from 'k6/execution';
import { fail, setUp, summary, summaryTrendStats, take, thresholds } from './drop.js';

const WELCOME10 = 1;
const FIRST_USER = 200000;

export const options = {
  scenarios: {
    oneByOne: { executor: 'per-vu-iterations', vus: 1, iterations: 100, maxDuration: '60s' },
  },
  thresholds: thresholds('issue', 100, { sold_out: ['count==0'], iterations: ['count==100'] }),
  summaryTrendStats,
};

export function setup() {
  setUp();
  return { couponId: WELCOME10 };
}

export default function () {
  const iteration = exec.scenario.iterationInTest;
  const number = take('issue', WELCOME10, FIRST_USER + iteration);
  if (number !== iteration + 1) fail(`number ${number} for the caller number ${iteration + 1}`);
}

export const handleSummary = summary('sequentialIssue');
