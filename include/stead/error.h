/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors are values: a negative code, a name, and a sentence (one X-macro, so the three cannot drift
 * apart). A function returns 0 or one of these; it never prints. An answer to a call carries the
 * code, the name and the sentence of the failure and says which agent and which op it came from.
 *
 * The numbers travel on the wire and are stored in journals: they are never reused or renumbered.
 */
#ifndef STEAD_ERROR_H
#define STEAD_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(identifier, number, wire name, sentence) */
#define STEAD_ERRORS(X)                                                                                                \
    X(EFAILED, 1, "failed", "the op reported a failure of its own")                                                    \
    X(EARGUMENT, 2, "bad_argument", "an argument has the wrong type or is out of range")                               \
    X(EADDRESS, 3, "bad_address", "the address is not of the form kind/key")                                           \
    X(EKIND, 4, "unknown_kind", "no kind of this name is loaded")                                                      \
    X(EOP, 5, "unknown_op", "the kind has no op of this name")                                                         \
    X(ETOOLARGE, 6, "too_large", "a payload, image or value is over its limit, or nests deeper than 32")               \
    X(ELIMIT, 7, "limit", "a turn went over one of its limits")                                                        \
    X(EBUSY, 8, "busy", "a mailbox or a quota is full: try again later")                                               \
    X(ENOTOWNER, 9, "not_owner", "this node does not own the slot")                                                    \
    X(ETIMEOUT, 10, "timeout", "no answer before the deadline: the outcome is unknown")                                \
    X(EEXPIRED, 11, "expired", "the deadline had passed before the work was started")                                  \
    X(ESESSION, 12, "session_expired", "the session has ended: the outcome is unknown")                                \
    X(ECONFLICT, 13, "conflict", "the same key was used before with another payload")                                  \
    X(EHISTORY, 14, "history_lost", "sender and receiver disagree about the past")                                     \
    X(EUNAVAILABLE, 15, "unavailable", "nobody can serve this address right now")                                      \
    X(EUNAUTHORISED, 16, "unauthorised", "the caller may not do this")                                                 \
    X(ENOTFOUND, 17, "not_found", "there is nothing of this name")                                                     \
    X(EDESTROYED, 18, "destroyed", "the agent was destroyed before it answered")                                       \
    X(ECANCELLED, 19, "cancelled", "the work was cancelled")                                                           \
    X(EDEPTH, 20, "chain_too_deep", "a chain of calls went over the depth limit")                                      \
    X(ESTATE, 21, "wrong_state", "the call is not allowed here")                                                       \
    X(ENOMEM, 22, "no_memory", "memory is exhausted")                                                                  \
    X(EIO, 23, "io", "the disk or the network failed")                                                                 \
    X(ECORRUPT, 24, "corrupt", "stored or received bytes are damaged")                                                 \
    X(EVERSION, 25, "version", "written by an incompatible version")                                                   \
    X(EPROTOCOL, 26, "protocol", "the peer broke the wire protocol")                                                   \
    X(EDISKFULL, 27, "disk_full", "the disk quota is used up: only agents' own work goes on")                          \
    X(EPOISON, 28, "poison", "the message killed the process too often and was set aside")                             \
    X(ELOCKED, 29, "locked", "the agent is held by another holder")                                                    \
    X(EINTERNAL, 30, "internal", "a bug in stead: please report it with the trace")                                    \
    X(EINUSE, 31, "in_use", "already open, bound or taken by another process")                                         \
    X(EREADONLY, 32, "read_only", "a read-only op tried to write")

enum stead_error {
    STEAD_OK = 0,
#define STEAD_ERROR_ENUM(id, number, name, sentence) STEAD_##id = -(number),
    STEAD_ERRORS(STEAD_ERROR_ENUM)
#undef STEAD_ERROR_ENUM
};

/* Must-use: the result of every function that can fail is looked at. */
#if defined(__GNUC__)
#define STEAD_MUST_USE __attribute__((warn_unused_result))
#define STEAD_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define STEAD_PUBLIC __attribute__((visibility("default")))
#else
#define STEAD_MUST_USE
#define STEAD_PRINTF(format_at, args_at)
#define STEAD_PUBLIC
#endif

/* The wire name of `code` ("busy"), "ok" for 0, "unknown" for anything else. Static; any thread. */
STEAD_PUBLIC const char *stead_error_name(int code);

/* The sentence of `code`. Static; any thread. */
STEAD_PUBLIC const char *stead_error_sentence(int code);

/* The code of a wire name, or 0 when there is none of that name. Any thread. */
STEAD_PUBLIC int stead_error_of_name(const char *name);

#ifdef __cplusplus
}
#endif
#endif
