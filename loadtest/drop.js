// SPDX-License-Identifier: Apache-2.0
// What all scripts share: asking for a coupon, telling the outcomes apart, and the line at the end.
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';

export const BASE_URL = __ENV.BASE_URL || 'http://localhost:8080';
export const SHORT = __ENV.FORM === 'short';

const outcomes = {
  winners: new Counter('winners'),
  sold_out: new Counter('sold_out'),
  duplicates: new Counter('duplicates'),
  errors: new Counter('errors'),
};
const took = {
  reserve: new Trend('reserve_ms', true),
  issue: new Trend('issue_ms', true),
};

const headers = { 'Content-Type': 'application/json' };
const answered = http.expectedStatuses(200, 409);

// Limits of the answers' times: those of reserve are the shop's, issue waits for the disk as well.
const limits = {
  reserve: { reserve_ms: ['p(95)<200', 'p(99)<500'] },
  issue: { issue_ms: ['p(95)<500', 'p(99)<1000'] },
};
limits.mixed = { ...limits.reserve, ...limits.issue };

// Thresholds of a drop that `quantity` people win. WINNERS plants another number, which must be seen
// to fail.
export function thresholds(way, quantity, others = {}) {
  return {
    winners: [`count==${__ENV.WINNERS || quantity}`],
    duplicates: ['count==0'],
    errors: ['count==0'],
    http_req_failed: ['rate==0'],
    ...limits[way],
    ...others,
  };
}

export function post(path, body, params = {}) {
  return http.post(BASE_URL + path, JSON.stringify(body), { headers, ...params });
}

// Every counter exists, whatever happens.
export function setUp() {
  Object.values(outcomes).forEach((counter) => counter.add(0));
}

// A coupon of this run's own.
export function createCoupon(name, quantity) {
  setUp();
  const answer = post('/api/admin/coupons', {
    name,
    discountRate: 10,
    totalQuantity: quantity,
    endsAt: new Date(Date.now() + 24 * 3600 * 1000).toISOString(),
  });
  if (answer.status !== 201) {
    throw new Error(`POST /api/admin/coupons: ${answer.status} ${answer.body}`);
  }
  return { couponId: answer.json('couponId') };
}

function parse(answer) {
  try {
    return JSON.parse(answer.body) || {};
  } catch (_) {
    return {};
  }
}

export function ask(way, couponId, userId) {
  const answer = post(`/api/coupons/${couponId}/${way}`, { userId }, {
    responseCallback: answered,
    tags: { name: `/api/coupons/{couponId}/${way}` },
  });
  return { status: answer.status, ms: answer.timings.duration, body: parse(answer) };
}

function outcomeOf(answer, couponId, userId) {
  const { status, body } = answer;
  if (status === 200) {
    const itsOwn = body.couponId === couponId && (body.userId === undefined || body.userId === userId);
    return itsOwn && Number.isInteger(body.sequenceNumber) && body.sequenceNumber >= 1 ? 'winners' : 'errors';
  }
  if (status === 409 && body.code === 'C001' && String(body.message).includes('SOLD_OUT')) return 'sold_out';
  if (status === 409 && body.code === 'C004' && String(body.message).includes('already')) return 'duplicates';
  return 'errors';
}

export function fail(text) {
  outcomes.errors.add(1);
  console.error(text);
}

// Asks once, counts the outcome, and tells a winner's number to the console: with --console-output
// that is the list of `doorbuster prove --told`. Returns the sequence number, 0 for who won nothing.
export function take(way, couponId, userId) {
  const answer = ask(way, couponId, userId);
  const outcome = outcomeOf(answer, couponId, userId);
  if (outcome === 'errors') {
    fail(`${way} of user ${userId}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return 0;
  }
  took[way].add(answer.ms);
  outcomes[outcome].add(1);
  if (outcome !== 'winners') return 0;
  console.log(`${way === 'issue' ? 'issued' : 'reserved'} ${userId} ${answer.body.sequenceNumber}`);
  return answer.body.sequenceNumber;
}

// `reserve`, `issue`, or each of them in turn.
export function wayOf(way, iteration) {
  if (way !== 'mixed') return way;
  return iteration % 2 === 0 ? 'reserve' : 'issue';
}

function times(metrics) {
  return ['reserve_ms', 'issue_ms', 'stored_ms']
    .filter((name) => metrics[name])
    .map((name) => {
      const { values } = metrics[name];
      const ms = (key) => (values[key] === undefined ? '-' : values[key].toFixed(1));
      return `${name.slice(0, -3)} p95 ${ms('p(95)')} ms, p99 ${ms('p(99)')} ms`;
    });
}

export function crossed(metrics) {
  return Object.entries(metrics).flatMap(([name, metric]) =>
    Object.entries(metric.thresholds || {})
      .filter(([, threshold]) => !threshold.ok)
      .map(([rule]) => `${name} ${rule}`));
}

// One plain line; RESULT names a file for the counts, which run.sh compares with the database.
export function summary(name) {
  return (data) => {
    const { metrics } = data;
    const count = (key) => (metrics[key] ? metrics[key].values.count : 0);
    const result = {
      name,
      couponId: (data.setup_data || {}).couponId,
      iterations: count('iterations'),
      winners: count('winners'),
      soldOut: count('sold_out'),
      duplicates: count('duplicates'),
      errors: count('errors'),
      dropped: count('dropped_iterations'),
      crossed: crossed(metrics),
    };
    const parts = [
      `${result.winners} winners, ${result.soldOut} sold out, ${result.duplicates} duplicates, ${result.errors} errors`,
      ...(result.dropped ? [`${result.dropped} dropped`] : []),
      ...times(metrics),
      result.crossed.length ? `CROSSED ${result.crossed.join(', ')}` : 'thresholds ok',
    ];
    const out = { stdout: `${name}: ${parts.join('; ')}\n` };
    if (__ENV.RESULT) out[__ENV.RESULT] = `${JSON.stringify(result)}\n`;
    return out;
  };
}

export const summaryTrendStats = ['avg', 'med', 'p(95)', 'p(99)', 'max'];
