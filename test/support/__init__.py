# SPDX-License-Identifier: Apache-2.0
"""What the tests from outside share: the server under test, clients, the contract."""
