// SPDX-License-Identifier: Apache-2.0
// What a front end does: fill a cart, order it, pay, and see it in the ranking. BASE_URL names the server.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Order = components["schemas"]["Order"];
type Problem = components["schemas"]["Problem"];

const KEYBOARD = 3;
const userId = 5;
const client = createClient<paths>({ baseUrl: process.env.BASE_URL ?? "http://127.0.0.1:8080" });

// The answer, or the problem as an exception: openapi-fetch gives one of the two.
function must<T>(answer: { data?: T; error?: Problem; response: Response }): T {
  if (answer.data === undefined) {
    throw new Error(`${answer.response.status} ${answer.error?.detail ?? "without a body"}`);
  }
  return answer.data;
}

async function fillCart(): Promise<number> {
  const { products } = must(await client.GET("/api/products", { params: { query: { sort: "price", limit: 100 } } }));
  const keyboard = products.find((product) => product.productId === KEYBOARD);
  assert(keyboard, "no keyboard for sale");
  must(await client.POST("/api/cart/items", { body: { userId, productId: KEYBOARD, quantity: 1 } }));
  const cart = must(await client.POST("/api/cart/items", { body: { userId, productId: KEYBOARD, quantity: 2 } }));
  assert.equal(cart.totalAmount, 3 * keyboard.price);
  return cart.totalAmount;
}

async function orderCart(): Promise<Order> {
  const cart = must(await client.GET("/api/cart", { params: { query: { userId } } }));
  const items = cart.items.map(({ productId, quantity }) => ({ productId, quantity }));
  const order = must(await client.POST("/api/orders", { body: { userId, items, idempotencyKey: "shop-order" } }));
  assert.equal(order.status, "PENDING");
  return order;
}

async function pay(order: Order): Promise<void> {
  const call = () =>
    client.POST("/api/orders/{orderId}/payment", {
      params: { path: { orderId: order.orderId } },
      body: { userId, idempotencyKey: "shop-payment" },
    });
  const payment = must(await call());
  assert.equal(payment.paidAmount, order.totalAmount);
  assert.deepEqual(must(await call()), payment);
  const paid = must(await client.GET("/api/orders/{orderId}", { params: { path: { orderId: order.orderId } } }));
  assert.equal(paid.status, "COMPLETED");
}

async function unitsInRanking(): Promise<number> {
  const { rankings } = must(await client.GET("/api/products/ranking/top", { params: { query: { limit: 100 } } }));
  return rankings.find((row) => row.productId === KEYBOARD)?.salesCount ?? 0;
}

// A refusal has a type of its own.
async function refusal(): Promise<void> {
  const { error, response } = await client.GET("/api/orders/{orderId}", { params: { path: { orderId: 10 ** 12 } } });
  assert.equal(response.status, 404);
  assert.equal(error?.code, "O002");
  assert.equal(error?.error, "ORDER_NOT_FOUND");
}

const before = await unitsInRanking();
const total = await fillCart();
const order = await orderCart();
assert.equal(order.totalAmount, total);
await pay(order);
for (let tries = 0; (await unitsInRanking()) !== before + 3; tries++) {
  assert(tries < 100, "not in the ranking");
  await new Promise((resume) => setTimeout(resume, 30));
}
await refusal();
console.log(`order ${order.orderNumber}: ${order.totalAmount} won paid, in the ranking`);
