# SPDX-License-Identifier: Apache-2.0
"""What the schema cannot say, for three in four of the requests that are meant to be good ones: header and
body name the same idempotency key, and an order's coupon is one that the user has. The rest may differ."""

import zlib

import schemathesis


@schemathesis.hook
def before_call(context, case, **kwargs):
    del context, kwargs
    good = case.meta is not None and case.meta.generation.mode.is_positive
    if not good or not isinstance(case.body, dict) or zlib.crc32(repr(case.body).encode()) % 4 == 0:
        return
    key = next((name for name in case.headers or () if name.lower() == "idempotency-key"), None)
    if key and case.body.get("idempotencyKey"):
        del case.headers[key]
    if "items" in case.body:
        case.body.pop("couponId", None)
