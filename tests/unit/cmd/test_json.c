/* SPDX-License-Identifier: Apache-2.0 */
/* json: nothing is lost between JSON and msgpack, and a mistake is answered with its place and a way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/base64.h"
#include "cmd/json.h"

/* text -> value -> text */
static void assert_comes_back(const char *text)
{
    struct stead_writer writer;
    struct stead_json_error error;

    stead_writer_init(&writer);
    int code = stead_json_to_value(stead_str(text), &writer, &error);
    if (code != 0)
        fail_msg("%s: %s", text, error.sentence);
    assert_int_equal(stead_value_check(stead_written(&writer)), 0);
    json_t *json = stead_json_from_value(stead_written(&writer));
    char *back = stead_json_text(json, 0);
    assert_string_equal(back, text);
    free(back);
    json_decref(json);
    stead_writer_deinit(&writer);
}

static char *text_of_value(struct stead_slice value)
{
    assert_int_equal(stead_value_check(value), 0);
    json_t *json = stead_json_from_value(value);
    char *text = stead_json_text(json, 0);
    json_decref(json);
    return text;
}

#define assert_value_text(bytes, text)                                                                                 \
    do {                                                                                                               \
        char *got = text_of_value(stead_bytes(bytes, sizeof(bytes) - 1));                                              \
        assert_string_equal(got, text);                                                                                \
        free(got);                                                                                                     \
    } while (0)

static struct stead_json_error error_of(const char *text)
{
    struct stead_writer writer;
    struct stead_json_error error;

    stead_writer_init(&writer);
    stead_write_bool(&writer, true);
    size_t size = writer.size;
    assert_int_equal(stead_json_to_value(stead_str(text), &writer, &error), STEAD_EARGUMENT);
    assert_int_equal(writer.size, size);
    stead_writer_deinit(&writer);
    return error;
}

static void test_json_every_type_comes_back(void **state)
{
    (void)state;
    assert_comes_back("null");
    assert_comes_back("true");
    assert_comes_back("\"t\\u0000\\\"\\n\xc3\xa4\xf0\x9f\x98\x80\"");
    assert_comes_back("[]");
    assert_comes_back("{}");
    assert_comes_back("{\"z\": [1, {\"a\": null}], \"a\": false}");
    assert_comes_back("{\"$bin\": \"AAEC/w==\"}");
    assert_comes_back("{\"$bin\": \"\"}");
    assert_comes_back("{\"$text\": \"/w==\"}");
    assert_comes_back("{\"$ext\": [-5, \"AAEC\"]}");
    assert_comes_back("{\"$map\": [[1, 2], [null, \"x\"]]}");
    assert_comes_back("{\"$map\": [[\"$bin\", 1]]}");
    assert_comes_back("{\"a\": 1, \"$bin\": 2}");
}

static void test_json_integers_of_64_bits_are_exact(void **state)
{
    (void)state;
    assert_comes_back("9223372036854775807");
    assert_comes_back("-9223372036854775808");
    assert_comes_back("{\"$u64\": \"18446744073709551615\"}");
    assert_comes_back("9007199254740993");
}

static void test_json_floats_keep_their_bits_in_the_fewest_digits(void **state)
{
    (void)state;
    assert_comes_back("0.1");
    assert_comes_back("-0.0");
    assert_comes_back("5.0");
    assert_comes_back("[0.1, 0.2]");
    assert_comes_back("[0.10000000000000001, 0.30000000000000004]"); /* as many as the worst of the text needs */
    assert_comes_back("1e300");
    assert_comes_back("{\"$f64\": \"nan\"}");
    assert_comes_back("{\"$f64\": \"inf\"}");
    assert_comes_back("{\"$f64\": \"-inf\"}");
}

static void test_json_value_that_json_lacks_gets_an_object_of_one_key(void **state)
{
    (void)state;
    assert_value_text("", "null");
    assert_value_text("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "{\"$u64\": \"18446744073709551615\"}");
    assert_value_text("\xa1\xff", "{\"$text\": \"/w==\"}");
    assert_value_text("\x82\xa1"
                      "a\x01\xa1"
                      "a\x02",
                      "{\"$map\": [[\"a\", 1], [\"a\", 2]]}");
    assert_value_text("\x81\xa1\x00\x01", "{\"$map\": [[\"\\u0000\", 1]]}");
    assert_value_text("\xd4\x05\x07", "{\"$ext\": [5, \"Bw==\"]}");
    assert_value_text("\xc7\x02\xff\x01\x02", "{\"$ext\": [-1, \"AQI=\"]}");
    assert_value_text("\xca\x3f\x80\x00\x00", "1.0");
}

static void test_json_nesting_over_the_limit_is_refused(void **state)
{
    (void)state;
    char text[512] = "";

    for (int i = 0; i < STEAD_NESTING_MAX; i++)
        strcat(text, "[");
    for (int i = 0; i < STEAD_NESTING_MAX; i++)
        strcat(text, "]");
    assert_comes_back(text);
    memmove(text + 1, text, strlen(text) + 1);
    text[0] = '[';
    strcat(text, "]");
    assert_non_null(strstr(error_of(text).sentence, "more than 32"));
    memset(text, 0, sizeof text);
    for (int i = 0; i < STEAD_NESTING_MAX; i++)
        strcat(text, "[");
    strcat(text, "{\"$map\": []}");
    for (int i = 0; i < STEAD_NESTING_MAX; i++)
        strcat(text, "]");
    assert_non_null(strstr(error_of(text).sentence, "more than 32"));
}

static void test_json_map_of_maps_with_bad_keys_takes_linear_time(void **state)
{
    (void)state;
    struct stead_writer writer;
    const char *text;

    stead_writer_init(&writer);
    for (int i = 0; i < STEAD_NESTING_MAX;
         i++) { /* {1: ..., 2: nil}: trying an object first would double at every level */
        stead_write_map(&writer, 2);
        stead_write_nil(&writer);
        stead_write_nil(&writer);
        stead_write_i64(&writer, i);
    }
    stead_write_nil(&writer);
    char *got = text_of_value(stead_written(&writer));
    text = "{\"$map\": [[null, null], [0, {\"$map\": [[null, null], [1, ";
    assert_memory_equal(got, text, strlen(text));
    free(got);
    stead_writer_deinit(&writer);
}

static void test_json_bare_word_is_refused_with_a_hint_about_quoting(void **state)
{
    (void)state;
    struct stead_json_error error = error_of("hello");

    assert_int_equal(error.column, 1);
    assert_string_equal(error.excerpt, "hello");
    assert_non_null(strstr(error.hint, "'\"hello\"'"));
    assert_non_null(strstr(error_of("'hello'").hint, "double quotes"));
}

static void test_json_key_without_quotes_is_pointed_at(void **state)
{
    (void)state;
    struct stead_json_error error = error_of("{by: 5}");

    assert_int_equal(error.line, 1);
    assert_int_equal(error.column, 2);
    assert_int_equal(error.caret, 1);
    assert_string_equal(error.excerpt, "{by: 5}");
    assert_non_null(strstr(error.hint, "{\"by\": 5}"));
}

static void test_json_error_behind_letters_of_two_bytes_counts_characters(void **state)
{
    (void)state;
    struct stead_json_error error = error_of("[\"\xc3\xa4\xc3\xa4\",\n \"\xc3\xa4\", x]");

    assert_int_equal(error.line, 2);
    assert_int_equal(error.column, 7);
    assert_int_equal(error.caret, 6);
    assert_string_equal(error.excerpt, " \"\xc3\xa4\", x]");
}

static void test_json_text_that_is_wrong_names_what_is_wrong(void **state)
{
    (void)state;
    assert_non_null(strstr(error_of("").hint, "leave the argument out"));
    assert_non_null(strstr(error_of("18446744073709551615").hint, "$u64"));
    assert_non_null(strstr(error_of("{\"$u64\": \"18446744073709551616\"}").sentence, "18446744073709551615"));
    assert_non_null(strstr(error_of("{\"$u64\": 5}").sentence, "digits"));
    assert_non_null(strstr(error_of("{\"$bin\": \"a\"}").sentence, "base64"));
    assert_non_null(strstr(error_of("{\"$f64\": \"1\"}").sentence, "$f64"));
    assert_non_null(strstr(error_of("{\"$ext\": [128, \"\"]}").sentence, "$ext"));
    assert_non_null(strstr(error_of("{\"$map\": [[1]]}").sentence, "[key, value]"));
    assert_non_null(strstr(error_of("{\"a\": 1, \"a\": 2}").sentence, "duplicate"));
    assert_int_equal(error_of("[1, 2").column, 6);
    assert_int_equal(error_of("{} {}").column, 4);
}

static void test_json_argument_reads_text_file_and_nothing(void **state)
{
    (void)state;
    struct stead_writer writer;
    struct stead_json_error error;
    char path[] = "/tmp/stead-test-json-XXXXXX", argument[64];
    int64_t number = 0;
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    fputs(" 42\n", file);
    fclose(file);
    snprintf(argument, sizeof argument, "@%s", path);
    stead_writer_init(&writer);
    assert_int_equal(stead_json_argument(argument, &writer, &error), 0);
    assert_int_equal(stead_get_i64(stead_written(&writer), NULL, &number), 0);
    assert_int_equal(number, 42);
    remove(path);
    assert_int_equal(stead_json_argument(argument, &writer, &error), STEAD_EIO);
    assert_non_null(strstr(error.sentence, "cannot open"));
    stead_writer_reset(&writer);
    assert_int_equal(stead_json_argument(NULL, &writer, &error), 0);
    assert_int_equal(writer.size, 1);
    stead_writer_deinit(&writer);
}

static void test_base64_accepts_exactly_what_it_makes(void **state)
{
    (void)state;
    const char *const wrong[] = {
        "a", "ab", "abc", "ab==cd==", "a===", "====", "ab\n=", "aQ=a", "aR==", "aGk", "aGl=", NULL};
    uint8_t *bytes = NULL;
    size_t size = 0;

    for (size_t i = 0; wrong[i]; i++)
        assert_int_equal(stead_base64_decode(wrong[i], strlen(wrong[i]), &bytes, &size), STEAD_EARGUMENT);
    for (size_t length = 0; length < 64; length++) {
        uint8_t it[64];
        for (size_t i = 0; i < length; i++)
            it[i] = (uint8_t)(i * 37 + length);
        char *text = stead_base64_encode(stead_bytes(it, length));
        assert_int_equal(stead_base64_decode(text, strlen(text), &bytes, &size), 0);
        assert_int_equal(size, length);
        assert_memory_equal(bytes, it, length);
        free(text);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_every_type_comes_back),
        cmocka_unit_test(test_json_integers_of_64_bits_are_exact),
        cmocka_unit_test(test_json_floats_keep_their_bits_in_the_fewest_digits),
        cmocka_unit_test(test_json_value_that_json_lacks_gets_an_object_of_one_key),
        cmocka_unit_test(test_json_nesting_over_the_limit_is_refused),
        cmocka_unit_test(test_json_map_of_maps_with_bad_keys_takes_linear_time),
        cmocka_unit_test(test_json_bare_word_is_refused_with_a_hint_about_quoting),
        cmocka_unit_test(test_json_key_without_quotes_is_pointed_at),
        cmocka_unit_test(test_json_error_behind_letters_of_two_bytes_counts_characters),
        cmocka_unit_test(test_json_text_that_is_wrong_names_what_is_wrong),
        cmocka_unit_test(test_json_argument_reads_text_file_and_nothing),
        cmocka_unit_test(test_base64_accepts_exactly_what_it_makes),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
