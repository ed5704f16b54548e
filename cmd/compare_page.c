/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_page: the report as one file that loads nothing: the template with the style, D3, the script and the report
 * put in.
 *
 * The four are part of the program, as bytes: a page can be made on a machine that has nothing but it. The report is
 * JSON inside of a script element, where `<` would end it: it is written as \u003c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/compare.h"
#include "cmd/json.h"

/* The bytes of a file, with a zero behind them. STEAD_ASSETS and STEAD_D3 are paths, from the build. */
#define ASSET(symbol, path)                                                                                            \
    __asm__(".section .rodata\n.hidden " symbol "\n.global " symbol "\n" symbol ":\n.incbin \"" path                   \
            "\"\n.byte 0\n.previous\n")
extern const char stead_compare_template[], stead_compare_style[], stead_compare_script[], stead_compare_d3[];
ASSET("stead_compare_template", STEAD_ASSETS "/compare.html");
ASSET("stead_compare_style", STEAD_ASSETS "/compare.css");
ASSET("stead_compare_script", STEAD_ASSETS "/compare.js");
ASSET("stead_compare_d3", STEAD_D3);

static void put_json(const json_t *report, FILE *file)
{
    char *text = stead_json_text(report, 0);

    for (const char *at = text; *at; at++) {
        if (*at == '<')
            fputs("\\u003c", file);
        else
            fputc(*at, file);
    }
    free(text);
}

/* What stands for `mark` in the template. */
static void put(const char *mark, size_t size, const json_t *report, FILE *file)
{
    static const struct {
        const char *name;
        const char *text;
    } parts[] = {{"STYLE", stead_compare_style}, {"D3", stead_compare_d3}, {"SCRIPT", stead_compare_script}};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strlen(parts[i].name) == size && memcmp(parts[i].name, mark, size) == 0)
            fputs(parts[i].text, file);
    }
    if (size == 6 && memcmp(mark, "REPORT", size) == 0)
        put_json(report, file);
}

int stead_compare_page(const json_t *report, const char *path)
{
    FILE *file = fopen(path, "we");
    const char *at = stead_compare_template;

    if (!file) {
        stead_complain("%s: %s", path, strerror(errno));
        return STEAD_EIO;
    }
    for (const char *mark = strstr(at, "@@"); mark; mark = strstr(at, "@@")) {
        const char *end = strstr(mark + 2, "@@");
        fwrite(at, 1, (size_t)(mark - at), file);
        put(mark + 2, (size_t)(end - mark - 2), report, file);
        at = end + 2;
    }
    fputs(at, file);
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) {
        stead_complain("%s: it could not be written", path);
        return STEAD_EIO;
    }
    return 0;
}
