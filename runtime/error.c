/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error: the names and sentences of the error codes, all generated from STEAD_ERRORS, so that a code without a name or
 * a name without a code cannot be written. Codes travel on the wire and lie in journals: a number that this build does
 * not know (a newer peer's) is not a failure here, it reads as "unknown". Constant data only.
 */
#include "stead/error.h"

#include <string.h>

const char *stead_error_name(int code)
{
    switch (code) {
    case STEAD_OK:
        return "ok";
#define NAME_CASE(id, number, name, sentence)                                                                          \
    case STEAD_##id:                                                                                                   \
        return name;
        STEAD_ERRORS(NAME_CASE)
#undef NAME_CASE
    default:
        return "unknown";
    }
}

const char *stead_error_sentence(int code)
{
    switch (code) {
    case STEAD_OK:
        return "no error";
#define SENTENCE_CASE(id, number, name, sentence)                                                                      \
    case STEAD_##id:                                                                                                   \
        return sentence;
        STEAD_ERRORS(SENTENCE_CASE)
#undef SENTENCE_CASE
    default:
        return "an error code that this version does not know";
    }
}

int stead_error_of_name(const char *name)
{
    static const struct {
        const char *name;
        int code;
    } errors[] = {
#define NAME_ROW(id, number, name, sentence) {name, STEAD_##id},
        STEAD_ERRORS(NAME_ROW)
#undef NAME_ROW
    };

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].code;
    return 0;
}
