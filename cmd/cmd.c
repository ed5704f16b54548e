/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd: complaining, and the translation of error codes to exit codes. A complaint is one line and begins with the
 * command's name, so it can be told apart in the output of a script.
 */
#define _GNU_SOURCE /* program_invocation_name */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void stead_complain(const char *format, ...)
{
    va_list args;

    fflush(stdout); /* in order, when both go to one file */
    fprintf(stderr, "%s: ", program_invocation_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

int stead_exit_of(int code)
{
    switch (code) {
    case STEAD_OK:
        return STEAD_EXIT_DONE;
    case STEAD_EUNAVAILABLE:
        return STEAD_EXIT_UNREACHABLE;
    case STEAD_ETIMEOUT:
    case STEAD_EEXPIRED:
    case STEAD_ESESSION:
        return STEAD_EXIT_TIMED_OUT;
    default:
        return STEAD_EXIT_FAILED;
    }
}
