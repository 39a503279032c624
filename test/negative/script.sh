# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Must be found by shellcheck: a name with a space in it becomes two.
rm $1
