// SPDX-License-Identifier: Apache-2.0

// Whether a history of calls can be put in one order in which each takes effect at one moment between
// its call and its answer: porcupine FILE. The file is JSON: {"model": "gate" or "wallet", "quantity": n,
// "balance": n, "calls": [{"client", "at", "until", "what", "user", "amount", "answer", "slot",
// "balance"}]}. A call that was not answered was made again until it was, and is one. Says `ok`, or
// `illegal` and exits with 1; `unknown` after a minute: 2.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type call struct {
	Client  int
	At      int64
	Until   int64
	What    string
	User    int64
	Amount  int64
	Answer  string
	Slot    int64
	Balance int64
}

type history struct {
	Model    string
	Quantity int64
	Balance  int64
	Calls    []call
}

// Who holds which number of a coupon.
type gate map[int64]int64

func (g gate) with(user, slot int64) gate {
	next := gate{user: slot}
	for u, s := range g {
		next[u] = s
	}
	return next
}

func (g gate) isFree(slot, quantity int64) bool {
	for _, s := range g {
		if s == slot {
			return false
		}
	}
	return slot >= 1 && slot <= quantity
}

// "has": asked more than once, so that nobody knows which time was the first that counted.
func take(g gate, c call, quantity int64) (bool, gate) {
	slot, holds := g[c.User]

	switch {
	case c.Answer == "sold_out":
		return !holds && int64(len(g)) >= quantity, g
	case (c.Answer == "already" || c.Answer == "has") && holds:
		return slot == c.Slot, g
	case (c.Answer == "granted" || c.Answer == "has") && !holds:
		return g.isFree(c.Slot, quantity), g.with(c.User, c.Slot)
	}
	return false, g
}

func wallet(balance int64, c call) (bool, int64) {
	if c.What == "charge" {
		balance += c.Amount
	}
	return c.Balance == balance, balance
}

func model(h history) porcupine.Model {
	if h.Model == "wallet" {
		return porcupine.Model{
			Init: func() any { return h.Balance },
			Step: func(state, input, _ any) (bool, any) { return wallet(state.(int64), input.(call)) },
		}
	}
	return porcupine.Model{
		Init:  func() any { return gate{} },
		Step:  func(state, input, _ any) (bool, any) { return take(state.(gate), input.(call), h.Quantity) },
		Equal: func(a, b any) bool { return maps.Equal(a.(gate), b.(gate)) },
	}
}

func main() {
	var h history
	var operations []porcupine.Operation

	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: porcupine FILE")
		os.Exit(64)
	}
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil || (h.Model != "gate" && h.Model != "wallet") {
		fmt.Fprintln(os.Stderr, "not a history:", err)
		os.Exit(65)
	}
	for _, c := range h.Calls {
		operations = append(operations,
			porcupine.Operation{ClientId: c.Client, Input: c, Call: c.At, Output: c, Return: c.Until})
	}
	switch porcupine.CheckOperationsTimeout(model(h), operations, time.Minute) {
	case porcupine.Ok:
		fmt.Println("ok")
	case porcupine.Illegal:
		fmt.Println("illegal")
		os.Exit(1)
	default:
		fmt.Println("unknown")
		os.Exit(2)
	}
}
