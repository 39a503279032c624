// SPDX-License-Identifier: Apache-2.0
// A threshold that is crossed: k6 must say so with its exit status. No request is sent.
import { Counter } from 'k6/metrics';

const granted = new Counter('granted');

export const options = { iterations: 3, thresholds: { granted: ['count<=2'] } };

export default function () {
    granted.add(1);
}
