# SPDX-License-Identifier: Apache-2.0
"""The shop as the HTTP contract says it is, and what compares a server with it."""
