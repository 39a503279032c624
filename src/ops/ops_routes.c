// SPDX-License-Identifier: Apache-2.0
/*
 * Live and ready are different questions. Live asks nothing of anybody: a process that answers is
 * alive, and killing it would not bring a store back. Ready says whether traffic should come here.
 */
#include "ops/ops.h"

struct health_reason {
    struct str name, detail;
    bool ok;
};
static const struct json_row health_reason_rows[] = {
    JSON_STR(health_reason, name, "name", 1, 20, "What was looked at.", "ledger", JSON_REQUIRED),
    JSON_BOOL(health_reason, ok, "ok", "Whether it is well.", "true", JSON_REQUIRED),
    JSON_STR(health_reason, detail, "detail", 0, 200, "More.", "0 commands wait", JSON_REQUIRED),
};
static const JSON_ANSWER(health_reason, "HealthReason", "One thing that was looked at.");

struct health_answer {
    struct str status;
    struct health_reason *reasons;
    size_t reasons_count;
};
static const struct json_row health_answer_rows[] = {
    JSON_STR(health_answer, status, "status", 1, 10, "UP or DOWN.", "UP", JSON_REQUIRED),
    JSON_ARRAY(health_answer, reasons, "reasons", health_reason, 0, 10, "Why.", JSON_REQUIRED),
};
static const JSON_ANSWER(health_answer, "Health", "Whether traffic should come here.");

struct status_answer {
    struct str status;
};
static const struct json_row status_answer_rows[] = {
    JSON_STR(status_answer, status, "status", 1, 10, "UP or DOWN.", "UP", JSON_REQUIRED),
};
static const JSON_ANSWER(status_answer, "Status", "Alive.");

enum { REASONS = 3 };

/* Ready: the server wants traffic, the ledger keeps up, the journal can be written. */
static bool look(struct api_call *call, struct health_reason reasons[REASONS])
{
    struct api *api = call->loop->api;
    struct ledger_stats ledger = ledger_stats(api->shop->ledger);
    bool ready = atomic_load_explicit(&api->ready, memory_order_relaxed);
    bool keeps_up = ledger.oldest_wait_ms <= (uint64_t)api->config->ledger_queue_age_max_ms;
    bool gate_open = gate_is_usable(api->shop->gate);

    reasons[0] =
        (struct health_reason){ STR("server"), ready ? STR("serving") : STR("starting or draining"),
                                ready };
    reasons[1] =
        (struct health_reason){ STR("ledger"),
                                keeps_up ? STR("keeps up") : STR("is behind or away"), keeps_up };
    reasons[2] =
        (struct health_reason){ STR("gate"), gate_open ? STR("open") : STR("shut"), gate_open };
    return ready && keeps_up && gate_open;
}

static void health_live(struct api_call *call)
{
    http_respond(call->http, 200, STR("application/json"), STR("{\"status\":\"UP\"}"));
}

static void retry_after(struct api_call *call)
{
    http_response_header(call->http, STR("Retry-After"), STR("1"));
}

static void health_ready(struct api_call *call)
{
    struct health_reason reasons[REASONS];
    bool up = look(call, reasons);

    if (!up)
        retry_after(call);
    api_answer(call, up ? 200 : 503, &health_answer_json,
               &(struct health_answer){ up ? STR("UP") : STR("DOWN"), reasons, REASONS });
}

static void actuator_health(struct api_call *call)
{
    struct health_reason reasons[REASONS];
    bool up = look(call, reasons);

    if (!up)
        retry_after(call);
    http_respond(call->http, up ? 200 : 503, STR("application/json"),
                 up ? STR("{\"status\":\"UP\"}") : STR("{\"status\":\"DOWN\"}"));
}

static void metrics_get(struct api_call *call)
{
    enum metrics_format format = metrics_negotiate(http_request_header(call->http, STR("Accept")));
    struct buf *out = http_response_begin(call->http, 200, str_from(metrics_content_type(format)));

    metrics_render(call->loop->api->metrics, format, out);
    http_response_end(call->http);
}

static void openapi_get(struct api_call *call)
{
    http_respond(call->http, 200, STR("application/json"), buf_str(&call->loop->api->openapi));
}

/* clang-format off */
#define METRICS "# TYPE process_open_fds gauge\nprocess_open_fds 23\n"
const struct api_route ops_routes[] = {
    { HTTP_GET, "/health/live", "live", "operations", "The process answers.",
      health_live, API_PUBLIC, API_UNLIMITED, .status = 200, .answer = &status_answer_json },
    { HTTP_GET, "/health/ready", "ready", "operations", "The server wants traffic.",
      health_ready, API_PUBLIC, API_UNLIMITED, .status = 200, .answer = &health_answer_json, .down = &health_answer_json },
    { HTTP_GET, "/actuator/health", "actuatorHealth", "operations", "The same, for older scripts.",
      actuator_health, API_PUBLIC, API_UNLIMITED, .status = 200, .answer = &status_answer_json, .down = &status_answer_json },
    { HTTP_GET, "/metrics", "metrics", "operations", "Prometheus text, or OpenMetrics by Accept.",
      metrics_get, API_OPS, API_UNLIMITED, .status = 200, .answer_type = "text/plain", .text_example = METRICS },
    { HTTP_GET, "/actuator/prometheus", "actuatorPrometheus", "operations", "The same as /metrics.",
      metrics_get, API_OPS, API_UNLIMITED, .status = 200, .answer_type = "text/plain", .text_example = METRICS },
    { HTTP_GET, "/openapi.json", "openapi", "operations", "This document.",
      openapi_get, API_PUBLIC, .status = 200, .answer_type = "application/json" },
    { 0 },
};
/* clang-format on */
