// SPDX-License-Identifier: Apache-2.0
/* What goes over the wire, and what an answer means. In doubt it means GATEWAY_UNKNOWN. */
#include "base/arena.h"
#include "gateway/gateway_http_internal.h"
#include "json/json_bind.h"

struct gateway_request {
    struct str operation, key;
    int64_t user_id, order_id, amount;
    enum json_presence order_id_is;
    struct str refunded_id;
    enum json_presence refunded_id_is;
    int64_t sent_at_ms;
};
static const struct json_row gateway_request_rows[] = {
    JSON_STR(gateway_request, operation, "operation", 4, 6, "What is asked.", "charge",
             JSON_REQUIRED),
    JSON_STR(gateway_request, key, "key", 1, GATEWAY_KEY_BYTES_MAX, "Names it.", "order-17-1",
             JSON_REQUIRED),
    JSON_INT64(gateway_request, user_id, "userId", 1, INT64_MAX, "Whose money.", "42",
               JSON_REQUIRED),
    JSON_INT64(gateway_request, order_id, "orderId", 1, INT64_MAX, "null: a charge of a balance.",
               "17", JSON_NULLABLE(gateway_request, order_id)),
    JSON_INT64(gateway_request, amount, "amount", 0, INT64_MAX, "In won.", "9000", JSON_REQUIRED),
    JSON_STR(gateway_request, refunded_id, "refundedTransactionId", 1,
             GATEWAY_TRANSACTION_BYTES_MAX, "What a refund undoes.", "T-1",
             JSON_NULLABLE(gateway_request, refunded_id)),
    JSON_TIME(gateway_request, sent_at_ms, "sentAt", "When.", "2026-03-06T12:00:00.000+09:00",
              JSON_REQUIRED),
};
static const JSON_ANSWER(gateway_request, "GatewayRequest", "A call of the payment gateway.");

struct gateway_answer {
    struct str status, transaction_id;
    enum json_presence transaction_id_is;
};
static const struct json_row gateway_answer_rows[] = {
    JSON_STR(gateway_answer, status, "status", 1, 64, "approved or refused.", "approved",
             JSON_REQUIRED),
    JSON_STR(gateway_answer, transaction_id, "transactionId", 1, GATEWAY_TRANSACTION_BYTES_MAX,
             "The gateway's own name of it.", "T-1", JSON_NULLABLE(gateway_answer, transaction_id)),
};
static const JSON_BODY(gateway_answer, "GatewayAnswer", "What the payment gateway says.");

void gateway_http_render(struct buf *buf, const struct gateway_call *call, int64_t now_ms)
{
    static const char *const operations[] = {
        [GATEWAY_CHARGE] = "charge", [GATEWAY_REFUND] = "refund", [GATEWAY_VOID] = "void"
    };
    const struct gateway_request request = {
        .operation = str_from(operations[call->op]),
        .key = str_from(call->key),
        .user_id = call->user_id,
        .order_id = call->order_id,
        .order_id_is = call->order_id ? JSON_GIVEN : JSON_NULLED,
        .amount = call->amount,
        .refunded_id = str_from(call->refunded_id),
        .refunded_id_is = call->refunded_id[0] ? JSON_GIVEN : JSON_NULLED,
        .sent_at_ms = now_ms,
    };

    json_render(buf, &gateway_request_json, &request);
}

/* "application/json", parameters or none. */
static bool is_json(const char *content_type)
{
    static const struct str json = { "application/json", 16 };
    struct str type = str_from(content_type);

    if (type.len < json.len || !str_equal_nocase((struct str){ type.ptr, json.len }, json))
        return false;
    return type.len == json.len || strchr("; \t", type.ptr[json.len]);
}

static bool is_transaction_id(struct str id)
{
    if (id.len < 1 || id.len > GATEWAY_TRANSACTION_BYTES_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] <= ' ' || id.ptr[i] > '~')
            return false;
    return true;
}

static enum gateway_outcome judge_body(struct gateway_call *call, struct str body)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct gateway_answer answer;
    struct json_error error;

    if (json_parse(body, &gateway_answer_json, &arena, &answer, &error) != ERR_OK)
        return GATEWAY_UNKNOWN;
    bool named = answer.transaction_id_is == JSON_GIVEN;
    if (named && !is_transaction_id(answer.transaction_id))
        return GATEWAY_UNKNOWN;
    if (str_equal(answer.status, STR("refused")))
        return GATEWAY_REFUSED;
    /* Nothing needs to have been there for a void to be good. */
    if (!str_equal(answer.status, STR("approved")) || (!named && call->op != GATEWAY_VOID))
        return GATEWAY_UNKNOWN;
    if (named)
        memcpy(call->transaction_id, answer.transaction_id.ptr, answer.transaction_id.len);
    call->transaction_id[named ? answer.transaction_id.len : 0] = '\0';
    return GATEWAY_APPROVED;
}

void gateway_http_judge(struct gateway_call *call, long status, const char *content_type,
                        struct str body)
{
    call->transaction_id[0] = '\0';
    if (status == 402)
        call->outcome = GATEWAY_REFUSED;
    else if (status == 200 && content_type && is_json(content_type))
        call->outcome = judge_body(call, body);
    else
        call->outcome = GATEWAY_UNKNOWN;
}
