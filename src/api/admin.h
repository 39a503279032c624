// SPDX-License-Identifier: Apache-2.0
/* Handlers of /api/admin. */
#pragma once
#include "api/admin_json.h"
#include "api/api_page.h"

void admin_coupons_create(struct api_call *call);
void admin_coupons_patch(struct api_call *call);
void admin_coupons_rebuild(struct api_call *call);
void admin_coupons_list(struct api_call *call);
void admin_proof(struct api_call *call);
void admin_winners(struct api_call *call);
void admin_users_create(struct api_call *call);
void admin_events_dead(struct api_call *call);
void admin_events_replay(struct api_call *call);
void admin_events_skip(struct api_call *call);
void admin_log(struct api_call *call);
void admin_test_clock(struct api_call *call);
void admin_test_faults(struct api_call *call);
