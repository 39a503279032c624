// SPDX-License-Identifier: Apache-2.0
// The ranking is read 60 times a second, however slow the answers are, while up to 350 people order
// and pay as fast as they can. Every read must be a ranking: in order, complete, current, and, for
// one reader after the other, never less than before. The generator wants the cores, too, so that its
// own times say little: those that the server measured must be within 50 ms for 99 of 100 reads.
// FORM=short: 8 s instead of 30.
import http from 'k6/http';
import {
  anyBuyer, anyItems, BASE_URL, call, counts, fail, order, pay, setUp, SHORT, summary, summaryTrendStats, thresholds, unique,
} from './shop.js';

const RATE = 60;
const SECONDS = SHORT ? 8 : 30;

export const options = {
  scenarios: {
    reads: {
      executor: 'constant-arrival-rate',
      exec: 'read',
      rate: RATE,
      timeUnit: '1s',
      duration: `${SECONDS}s`,
      preAllocatedVUs: 60,
      maxVUs: 120,
    },
    orders: {
      executor: 'ramping-vus',
      exec: 'buy',
      startVUs: 10,
      stages: [
        { duration: `${SECONDS / 2}s`, target: 350 },
        { duration: `${SECONDS / 2}s`, target: 350 },
      ],
      gracefulRampDown: '5s',
      gracefulStop: '10s',
    },
  },
  thresholds: thresholds(
    { ranking: ['p(95)<500', 'p(99)<1000'], order: ['p(99)<2000'], payment: ['p(99)<2000'] },
    { paid: ['count>100'], reads: [`count>=${RATE * SECONDS * 0.99}`] },
  ),
  summaryTrendStats,
};

export const setup = setUp;

let before = 0; // units sold, as this reader saw them last

export function read() {
  const path = '/api/products/ranking/top?limit=100';
  const board = call('GET', 'ranking', '/api/products/ranking/top', path);
  if (!board) return;
  counts.reads.add(1);
  const rows = board.rankings;
  const inOrder = rows.every((row, at) => row.rank === at + 1 && row.productName && row.salesCount > 0 &&
    (at === 0 || rows[at - 1].salesCount >= row.salesCount));
  const units = rows.reduce((sum, row) => sum + row.salesCount, 0);
  if (!inOrder || board.stale || board.source !== 'memory') fail(`not a ranking: ${JSON.stringify(board)}`);
  if (units < before) fail(`${units} units, after ${before}`);
  before = units;
}

export function buy() {
  const made = order(anyBuyer(), anyItems(), unique());
  if (made) pay(made, unique());
}

// Reads by what the server measured: all, and those within 50 ms.
export function teardown() {
  const text = http.get(`${BASE_URL}/metrics`).body;
  const sum = (pattern) => [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  const all = sum(/^http_server_requests_seconds_count\{[^}]*ranking\/top"[^}]*\} (\d+)$/gm);
  const quick = sum(/^http_server_requests_seconds_bucket\{[^}]*ranking\/top"[^}]*le="0\.05"\} (\d+)$/gm);
  if (all < RATE * SECONDS * 0.9 || quick < 0.99 * all) fail(`${quick} of ${all} reads were answered within 50 ms`);
}

export const handleSummary = summary('rankingUnderOrders');
