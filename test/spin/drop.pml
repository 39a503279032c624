// SPDX-License-Identifier: Apache-2.0
/*
 * The drop: gate, ledger, servers, and what happens to them. docs/protocol.md says the same in prose.
 *
 * Two servers, two nodes of Redis (the second follows the first until it is promoted), one SQL. Each
 * step below is what one party does at once; anything may come between two steps, so that a delayed
 * message is a step that is taken late. What a run may contain (faults, administrators, callers) and
 * which guard is missing comes from the environment, see drop_setup.pml; run.py has the list.
 *
 *   drop_state.pml       what there is
 *   drop_gate.pml        what a node does in one step
 *   drop_ledger.pml      what SQL does in one step
 *   drop_server.pml      placements, heartbeat, hand-in, rebuild
 *   drop_world.pml       faults, replication, administrators
 *   drop_invariants.pml  what must hold, always and at rest
 */
#include "drop_state.pml"
#include "drop_gate.pml"
#include "drop_ledger.pml"
#include "drop_server.pml"
#include "drop_world.pml"
#include "drop_invariants.pml"
#include "drop_setup.pml"
