// SPDX-License-Identifier: Apache-2.0
/*
 * The parser of configuration files. Whatever loads must, printed, load again to the same print;
 * whatever does not must say so in a sentence.
 */
#include "base/assert.h"
#include "config/config_internal.h"

static enum err load_text(struct config *config, struct str text, struct config_error *error)
{
    char *words[] = { NULL };

    enum err err = config_load(config, 0, words, NULL, NULL, 0, error);
    ASSERT(err == ERR_OK);
    config->config_file = "fuzz";
    TRY(config_file_parse(config, "fuzz", text, error));
    return config_settle(config, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    struct buf first = { 0 }, second = { 0 };
    struct config config, again;
    struct config_error error;

    enum err err = load_text(&config, text, &error);
    ASSERT(err == ERR_OK || (err == ERR_INVALID && error.text[0]));
    if (err == ERR_OK) {
        config_print(&first, &config, true);
        config_markdown(&second);
        ASSERT(buf_ok(&first) && buf_ok(&second));
        buf_reset(&second);
        /* not everything that a flag can say fits a file's line, and " ;" begins a comment there */
        if (load_text(&again, buf_str(&first), &error) == ERR_OK)
            ASSERT(again.http_idle_timeout_ms == config.http_idle_timeout_ms &&
                   again.http_body_bytes_max == config.http_body_bytes_max &&
                   again.charge_max == config.charge_max && again.profile == config.profile &&
                   memcmp(&again.listen, &config.listen, sizeof again.listen) == 0);
        config_fini(&again);
    }
    buf_fini(&first);
    buf_fini(&second);
    config_fini(&config);
    return 0;
}
