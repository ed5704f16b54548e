/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_coordinator: what a node and the coordinator are told by each other; a request that is taken encodes, and comes
 * back the same. */
#include "fuzz/fuzz.h"
#include "node/coordinator_protocol.h"

static void encode_again(const struct stead_coordinator_request *request)
{
    struct stead_coordinator_request back;
    struct stead_writer first, second;

    stead_writer_init(&first);
    stead_writer_init(&second);
    stead_coordinator_request_encode(request, &first);
    STEAD_ASSERT(stead_coordinator_request_decode(stead_written(&first), &back) == 0);
    stead_coordinator_request_encode(&back, &second);
    STEAD_ASSERT(stead_slice_equal(stead_written(&first), stead_written(&second)));
    stead_coordinator_request_deinit(&back);
    stead_writer_deinit(&first);
    stead_writer_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stead_slice bytes = fuzz_copy(data, size);
    struct stead_coordinator_request request;
    struct stead_coordinator_answer answer;
    struct stead_writer writer;

    if (stead_coordinator_request_decode(bytes, &request) == 0) {
        encode_again(&request);
        stead_coordinator_request_deinit(&request);
    }
    if (stead_coordinator_answer_decode(bytes, &answer) == 0) {
        stead_writer_init(&writer);
        stead_coordinator_answer_encode(&answer, &writer);
        stead_writer_deinit(&writer);
    }
    fuzz_free(bytes);
    return 0;
}
